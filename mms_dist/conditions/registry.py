"""The conditions, by the names that `mms-dist eval --conditions` takes. docs/extending.md shows how to add one."""

CONDITIONS = {
    "noise": "mms_dist.conditions.noise:Noise",
    "overlap": "mms_dist.conditions.overlap:Overlap",
    "reverb": "mms_dist.conditions.reverb:Reverb",
    "telephone": "mms_dist.conditions.telephone:Telephone",
    "mp3": "mms_dist.conditions.codec:Mp3",
    "opus": "mms_dist.conditions.codec:Opus",
    "speed": "mms_dist.conditions.speed:Speed",
    "soft": "mms_dist.conditions.soft:Soft",
    "clipping": "mms_dist.conditions.clipping:Clipping",
}
"""The class of each condition, as `module:class`, in the order in which they are listed."""

TAGS = "tags"
"""Not a condition of the audio: the utterances of each tag, as further rows of the table."""
ALL = "all"
"""All conditions at their own levels, and tags."""
