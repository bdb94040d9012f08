"""The replicated log: pysyncobj behind our own transport, storage and thread, and the alerting lease.

The only folder that imports pysyncobj. `raft.Cluster` is its door: submit a command, read the applied
State. `lease.Lease` decides who alerts; it is pure and knows no Raft.
"""
