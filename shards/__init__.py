"""Recordings and transcripts to WebDataset shards with an index, and back."""
