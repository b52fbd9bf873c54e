"""Per-language checkpoints, adapter files, and the files of Hugging Face's layout."""
