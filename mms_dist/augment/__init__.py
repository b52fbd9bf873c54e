"""Augmentations: random changes to training utterances. Each is one file, which holds its settings too.

`kinds` says what an augmentation is; the section `augment` of the configuration lists all of them
(`mms_dist.config.schema.Augment`). docs/extending.md shows how to add one.
"""
