"""What a run would take on a cluster, before it is started: the placement that trains also simulates."""
