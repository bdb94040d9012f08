"""What a peer shows over HTTP: API, health, metrics, live events, heartbeats in, and the page.

`server.WebServer` is the door. Everything here reads one `Snapshot` and hands writes to `submit`;
nothing here decides, probes, sends, or knows that there is a Raft library. Reads work with no
leader and no quorum, because that is when people look.
"""
