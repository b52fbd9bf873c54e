"""Checkpoints of single languages, adapter files, and the export to Hugging Face's layout."""
