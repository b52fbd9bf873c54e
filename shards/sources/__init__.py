"""What `shards build` reads: recordings and transcripts as people have them."""
