"""The output of the shard commands."""
