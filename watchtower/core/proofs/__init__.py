"""Does the alerting itself work? Channels that ail, fire drills, and whether the outside may hear from us."""
