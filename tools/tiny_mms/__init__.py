"""Training of the shipped base: synthesis, real recordings, three phases, export (``python -m``)."""
