"""Turn raw transcripts into training text."""

from shards.text.normaliser import TextNormaliser, stored_normaliser

__all__ = ["TextNormaliser", "stored_normaliser"]
