"""Make the table of languages that the package ships (`python -m tools.language_table`)."""
