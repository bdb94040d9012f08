"""Who is looked at when: the rhythm, the slots, and how much at a time."""
