"""Ranks that own a language together, and what a language is to its placement."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class RankGroup:
    """Ranks `first` … `first + size - 1`, which own a language together.

    Blocks of a level are aligned: `first` is a multiple of the level's size, and the last block of a level ends where
    the world does.
    """

    first: int
    size: int

    @property
    def ranks(self) -> range:
        return range(self.first, self.first + self.size)

    @property
    def lead(self) -> int:
        """The rank that speaks for the owners: writes checkpoints, events and reports."""
        return self.first

    def __contains__(self, rank: int) -> bool:
        return self.first <= rank < self.first + self.size


@dataclass(frozen=True)
class Work:
    """An active language as the placement sees it.

    `seconds` is the audio of one of its optimizer batches, its cost in a round; `most_owners` into how many shares
    that can be cut, which is the number of its utterances.
    """

    language: str
    seconds: float
    most_owners: int = 1 << 30


def levels(world: int) -> tuple[int, ...]:
    """Sizes of blocks: the powers of two below the world, and the world. The last block of a level may be cut."""
    return (*(1 << bit for bit in range((world - 1).bit_length())), world)


def even_levels(world: int) -> tuple[int, ...]:
    """Sizes of blocks that are never cut: each divides the next, and the last is the world."""
    sizes, factor = [1], 2
    while sizes[-1] < world:
        rest = world // sizes[-1]
        while rest % factor:
            factor += 1
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)
