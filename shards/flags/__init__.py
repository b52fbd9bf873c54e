"""What may be wrong with an utterance: measured when its audio is decoded, and flagged by name."""
