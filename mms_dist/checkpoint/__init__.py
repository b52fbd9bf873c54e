"""Per-language checkpoints, adapter files, and the export to Hugging Face's layout."""
