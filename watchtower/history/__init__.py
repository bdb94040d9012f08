"""What this peer saw, kept: samples, rollups and transitions in one SQLite file, written by one thread."""
