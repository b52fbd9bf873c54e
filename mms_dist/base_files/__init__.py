"""The files of a base model, checked before anything is trained on them: configuration, weights and their values."""
