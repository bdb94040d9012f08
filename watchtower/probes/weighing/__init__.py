"""What this peer makes of what it saw: opinions, votes, and whether it trusts itself."""
