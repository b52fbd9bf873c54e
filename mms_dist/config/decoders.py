"""The decoders, by the names that `evaluation.decoder` takes. docs/extending.md shows how to add one."""

import difflib

DECODERS = {
    "greedy": "mms_dist.decoding.greedy:Greedy",
    "beam_search": "mms_dist.decoding.beam_search_decoder:BeamSearchDecoder",
}
"""The class of each decoder, as `module:class`: the configuration knows names, and imports nothing that decodes."""


def known_decoder(name: str) -> str:
    """Return the name.

    Raises:
        ValueError: no decoder has it.
    """
    if name not in DECODERS:
        near = difflib.get_close_matches(name, DECODERS, n=1)
        raise ValueError(f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(DECODERS)}")
    return name
