"""Rank groups that own a language together."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class RankGroup:
    """Ranks `first` … `first + size - 1`, which own a language together.

    Groups of a level are aligned: `first` is a multiple of the level's size, and the last group of a level ends at the
    end of the world.
    """

    first: int
    size: int

    @property
    def ranks(self) -> range:
        return range(self.first, self.first + self.size)

    @property
    def lead(self) -> int:
        """The rank that acts for all owners: it writes checkpoints, events and reports."""
        return self.first

    def __contains__(self, rank: int) -> bool:
        return self.first <= rank < self.first + self.size


def levels(world: int) -> tuple[int, ...]:
    """Group sizes: the powers of two below the world size, and the world size. A level's last group may be cut."""
    return (*(1 << bit for bit in range((world - 1).bit_length())), world)


def even_levels(world: int) -> tuple[int, ...]:
    """Group sizes without truncated groups: each size divides the next, and the last is the world size."""
    sizes, factor = [1], 2
    while sizes[-1] < world:
        rest = world // sizes[-1]
        while rest % factor:
            factor += 1
        sizes.append(sizes[-1] * factor)
    return tuple(sizes)
