"""What the hardware decides: found on every rank, agreed on once for all of them, and kept by every restart."""
