"""Looking in processes of its own: the worker, who keeps it alive, what they say to each other."""
