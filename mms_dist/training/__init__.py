"""Training: the round loop and everything a language goes through, composed from the other parts."""
