"""Find when each label of a known text was said."""
