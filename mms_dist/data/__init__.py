"""From the shard index to padded forward passes: plan, stream, loader, packer, collate.

`plan` and `stream` decide what a language reads and when (pure, from the index alone), `loader` reads it,
`packer` mixes the languages of a round by length, `collate` makes tensors. Only `collate` needs torch.
"""
