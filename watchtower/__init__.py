"""Monitoring by redundant peers: what alerts you is never itself the single point of failure."""

__version__ = "0.1.0"
