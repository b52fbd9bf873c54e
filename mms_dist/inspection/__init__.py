"""Inspect a run from outside: before it starts, while it runs, and after it ends."""
