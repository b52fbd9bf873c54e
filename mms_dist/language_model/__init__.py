"""N-gram language models of words or characters: counted, estimated, pruned, stored, queried."""
