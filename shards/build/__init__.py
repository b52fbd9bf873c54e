"""Build shards from the utterances of a source."""
