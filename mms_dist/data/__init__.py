"""From the shard index to padded forward passes: plan, stream, loader, packer, collate.

`plan` and `stream` decide what a language reads and when (pure functions of the index), `loader` reads it, `augmented`
changes the recordings, `packer` groups the utterances of a round by length, `collate` creates tensors. Only `collate`
needs torch.
"""
