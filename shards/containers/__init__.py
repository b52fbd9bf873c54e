"""What the containers of recordings promise, and what of it is there, without decoding."""
