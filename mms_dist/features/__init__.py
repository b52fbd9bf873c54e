"""The front end's features of the utterances of a pass: computed once, then cached in memory or on disk."""
