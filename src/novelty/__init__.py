"""Experiments in image novelty detection: method x data x hardware, and every published table as a sweep."""

__version__ = "0.1.0"
