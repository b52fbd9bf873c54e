"""The report page of a run: what is collected from its files, and one self-contained HTML page made of it."""
