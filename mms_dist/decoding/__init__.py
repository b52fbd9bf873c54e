"""Turn the model's logits into transcripts."""
