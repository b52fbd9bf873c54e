"""What the shard commands print."""
