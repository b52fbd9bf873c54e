"""Cut the utterances of a round into packed passes of one constant size.

Every language's utterances are first laid into strips, as a function of their own lengths and nothing else; then whole
strips are put into passes, those of a language in their order. As a strip begins with a new block of frames and its
gradient is summed by itself, a language's gradient is the same sum of the same strips, whatever other languages fill
the passes with.

Every pass takes as many frames as the others, full or not, so few passes is what counts. A strip is a part of a pass:
the smaller it is, the better strips fill passes and the worse utterances fill strips. The strip that is not full comes
first, so that every language has a small one to offer where little room is left.
"""

from collections.abc import Sequence

STRIPS = 2
"""Strips that fill a pass. On the rounds of tests/benchmarks/padding.py with 64 languages, passes of 320 s are then
98 % full and those of 32 s 90 %."""
_LAST = 4
"""The longest utterances go first, until what is left of a strip is less than so many of them."""
_CHOICE = 64
"""Then the best of all sums of so many is taken."""

Strips = list[list[int]]
"""Of one pass: the items of every strip, those of a language one after the other."""


def pack_constant(
    frames: Sequence[int], languages: Sequence[object], *, size: int, block: int, strips: int = STRIPS
) -> list[Strips]:
    """Group items into strips and those into passes.

    Args:
        frames: of each item, positive.
        languages: of each item.
        size: frames of a pass, a multiple of `block`. An item that is longer goes alone.
        block: a strip begins at a multiple of so many frames.
        strips: how many of them make a pass.

    Returns:
        Passes. Every item is in exactly one strip of one pass. A language's strips, and the order in which the passes
        have them, depend on the lengths of its own items only.
    """
    assert size > 0 and size % block == 0 and min(frames, default=1) > 0, "sizes of a pass and of its items"
    waiting: dict[object, list[int]] = {}
    for item, language in enumerate(languages):
        waiting.setdefault(language, []).append(item)
    part = max(size // strips // block, 1) * block
    stacks = [_strips(items, frames, part) for items in waiting.values()]  # the last of a stack is taken next
    sizes = [[-(-sum(frames[item] for item in strip) // block) * block for strip in stack] for stack in stacks]
    passes: list[Strips] = []
    left = list(range(len(stacks)))
    while left:
        number, room = left[0], size
        taken: list[tuple[int, list[int]]] = []
        while True:
            room -= sizes[number].pop()
            taken.append((number, stacks[number].pop()))
            # More of the first language while there is room, and then the largest strip that fits.
            fitting = [other for other in left if sizes[other] and sizes[other][-1] <= room]
            if not fitting:
                break
            number = fitting[0] if fitting[0] == left[0] else max(fitting, key=lambda other: sizes[other][-1])
        passes.append([strip for _, strip in sorted(taken, key=lambda each: each[0])])
        left = [other for other in left if sizes[other]]
    return passes


def _strips(items: Sequence[int], frames: Sequence[int], part: int) -> list[list[int]]:
    """The strips of one language, the one that is not full last. An item longer than a strip is one by itself."""
    rest = sorted(items, key=lambda item: -frames[item])
    strips = []
    while rest:
        places = {0} if frames[rest[0]] >= part else _fill([frames[item] for item in rest], part)
        strips.append([rest[place] for place in sorted(places)])
        rest = [item for place, item in enumerate(rest) if place not in places]
    return strips


def _fill(descending: Sequence[int], room: int) -> set[int]:
    """Which of these lengths fill the room best: the longest ones, and of the rest the best sum of a choice."""
    if sum(descending) <= room:
        return set(range(len(descending)))
    chosen: set[int] = set()
    first = 0
    while room >= _LAST * descending[first]:
        chosen.add(first)
        room -= descending[first]
        first += 1
    places = sorted({first + (len(descending) - 1 - first) * part // _CHOICE for part in range(_CHOICE + 1)})
    return chosen | {places[item] for item in _best_sum([descending[place] for place in places], room)}


def _best_sum(lengths: Sequence[int], room: int) -> list[int]:
    """The items with the largest sum within the room: the subset sum problem, all sums as the bits of one number."""
    within = (1 << (room + 1)) - 1
    sums = [1]
    for length in lengths:
        sums.append((sums[-1] | sums[-1] << length) & within)
    best, items = sums[-1].bit_length() - 1, []
    for item in reversed(range(len(lengths))):
        if not sums[item] >> best & 1:
            items.append(item)
            best -= lengths[item]
    return items
