"""Run on many processes: decide which ranks own a language, and communicate between them."""
