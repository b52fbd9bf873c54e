"""Decode recordings in any container to 16 kHz mono, and encode them as FLAC."""
