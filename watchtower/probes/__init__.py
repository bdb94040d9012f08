"""The looking: one file per protocol, who is looked at when, and what this peer makes of what it saw."""
