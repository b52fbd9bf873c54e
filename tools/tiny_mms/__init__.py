"""Train the shipped base: speech synthesis, real recordings, three phases, export (``python -m tools.tiny_mms``)."""
