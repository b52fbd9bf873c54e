"""Sources for `shards build`: manifests and folders of recordings and transcripts."""
