"""Read a base model's files and check them before training: configuration, weight shapes and weight values."""
