"""Monitor a run: show progress on the terminal, record it in TensorBoard and files, and read runs from the files."""
