"""Many processes: which ranks own a language, and what passes between them."""
