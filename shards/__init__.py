"""Build, index and read WebDataset shards of recordings and transcripts."""
