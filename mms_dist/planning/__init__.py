"""Estimate what a run takes on a cluster before it starts, simulated with the placement code that training uses."""
