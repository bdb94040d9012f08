"""`watchtower demo`: a whole cluster on this machine, with services to break and alerts to read."""
