"""Monitor a run: what it tells the terminal, TensorBoard and the run's files, and how a run is read from these."""
