"""Cells as jobs of submitit: of a Slurm cluster, or in processes of this machine."""
