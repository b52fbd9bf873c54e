"""Log-probabilities of the labels of a vocabulary in each frame of recordings of any length."""
