"""The looking: each kind of look, who is looked at when and by which process, and what is made of it."""
