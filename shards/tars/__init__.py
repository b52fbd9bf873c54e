"""Samples in tars: find them, read one from its bytes, and write them."""
