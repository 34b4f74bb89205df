"""Hydra finds its plugins in this namespace: the sweeper that resumes, and the place of the published tables."""
