"""One file per kind of look: what is done, what is found, what is good by default."""
