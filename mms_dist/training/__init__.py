"""Training: the round loop and the lifecycle of a language, built from the other packages."""
