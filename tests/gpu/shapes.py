"""Shapes of passes, for what might be planned anew for each."""

from tests.gpu.part import Part

SHAPES = ((24, 331), (23, 347), (19, 419), (16, 503), (11, 719), (6, 1249))
"""Utterances and frames of passes of about 160 s."""
_WARM_UP = (8, 211)


def shapes_of(part: Part) -> tuple[tuple[int, int], ...]:
    """Utterances and frames; the first shape is for `timing.first_and_later` to warm up with."""
    return ((2, 11), (2, 20)) if part.smoke else (_WARM_UP, *SHAPES)
