"""Index WebDataset tars made by other tools, without changing them."""
