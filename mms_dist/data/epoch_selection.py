"""Which utterances of a language come in an epoch, and how often: a pure function of index, settings and epoch.

Each group (a speaker, a source, an accent) has a quota of audio per epoch, and a cycle: its utterances in a random
order that never changes. Every epoch takes the next stretch of each cycle. So what a quota leaves out comes first in
the next epoch, and no utterance comes a second time before all others of its group have come once.

    h_g  audio of a group that may be used: all but utterances longer than the cap
    c_g  = min(h_g, cap)
    q_g  = min(cap, C c_g^(1/T) / sum_k c_k^(1/T))   where C = sum_k c_k: the quota of an epoch

A quota is an average: what is left of it in one epoch, because the next utterance does not fit, is added to the next.
The cap is exact: no epoch has more of any group. Without a cap and with T = 1, every utterance comes once.

Temperature: Arivazhagan et al. 2019, https://arxiv.org/abs/1907.05019 (there over languages).

Legend: N utterances (rows of the sample table), G groups, M items (utterances of an epoch, with repetitions).
"""

from decimal import Decimal, localcontext
from functools import cached_property

import numpy as np

from mms_dist.data.randomness import order_generator
from shards.schema import SAMPLE_RATE

SELECTION_VERSION = 1
"""Increment whenever the result of `items` changes."""

NO_GROUP = -1
"""Group of an utterance whose speaker, source or tag is unknown. It comes once an epoch."""

_STARTS_KEPT = 4


class EpochSelection:
    """The utterances of every epoch of one language.

    Args:
        group: number of each utterance's group, from 0, or `NO_GROUP`, int [N].
        samples: audio samples of each recording, as it is in the shards, positive, int [N].
        seed: seed of the run; with `language` it determines the order of each group's utterances.
        cap_seconds: most audio of a group in an epoch; None: no limit.
        temperature: T above, at least 1.
    """

    def __init__(
        self,
        group: np.ndarray,
        samples: np.ndarray,
        *,
        seed: int,
        language: str,
        cap_seconds: float | None = None,
        temperature: float = 1.0,
    ) -> None:
        self._group_N = np.asarray(group, dtype=np.int64)
        self._samples_N = np.asarray(samples, dtype=np.int64)
        self._cap = None if cap_seconds is None else int(cap_seconds * SAMPLE_RATE)
        self._temperature = temperature
        self._seed = seed
        self._language = language
        self._starts: dict[int, np.ndarray] = {}

    @cached_property
    def usable(self) -> np.ndarray:
        """Whether each utterance comes in some epoch, bool [N]: all but those of a group that are above the cap."""
        if self._cap is None:
            return np.ones(len(self._group_N), dtype=bool)
        return (self._group_N == NO_GROUP) | (self._samples_N <= self._cap)

    @cached_property
    def quotas(self) -> np.ndarray:
        """Audio samples of each group in an average epoch, int64 [G]; 0 for a group with no usable utterance."""
        if self._cap is None:
            return shares_of(self.group_samples, self._temperature)
        capped_G = np.minimum(self.group_samples, self._cap)
        return np.minimum(shares_of(capped_G, self._temperature), self._cap)

    @cached_property
    def group_samples(self) -> np.ndarray:
        """Audio samples of each group's usable utterances, int64 [G]."""
        groups, of_group = int(self._group_N.max(initial=NO_GROUP)) + 1, self.usable & (self._group_N != NO_GROUP)
        totals_G = np.bincount(self._group_N[of_group], weights=self._samples_N[of_group], minlength=groups)
        return totals_G.astype(np.int64)  # sums below 2^53 are exact

    @property
    def average_samples(self) -> int:
        """Audio samples of an average epoch."""
        return int(self.quotas.sum() + self._samples_N[self._group_N == NO_GROUP].sum())

    def items(self, epoch: int) -> np.ndarray:
        """Return the items of an epoch, ascending, int64 [M].

        Item i is utterance i % N; i // N is how often it has come before in this epoch.
        """
        start_G = self._start(epoch)
        taken_G = self._after(start_G, epoch) - start_G
        group_M = np.repeat(np.arange(len(taken_G)), taken_G)
        place_M = np.arange(len(group_M)) - np.repeat(np.cumsum(taken_G) - taken_G, taken_G)
        count_M = self._count_G[group_M]
        utterance_M = self._order[self._first_G[group_M] + (start_G[group_M] + place_M) % count_M]
        items_M = utterance_M + place_M // count_M * len(self._group_N)
        return np.sort(np.concatenate([items_M, np.flatnonzero(self._group_N == NO_GROUP)]))

    def _start(self, epoch: int) -> np.ndarray:
        """Return how many utterances of each cycle come before an epoch, int64 [G].

        With a cap this depends on all epochs before it, each of which costs one search over all groups at once.
        """
        if self._cap is None and epoch:
            return self._after(self.quotas, epoch - 1)  # without a cap, whatever came before
        known = max((each for each in self._starts if each <= epoch), default=None)
        start_G = np.zeros(len(self.quotas), dtype=np.int64) if known is None else self._starts[known]
        for each in range(known or 0, epoch):
            start_G = self._after(start_G, each)
        self._starts[epoch] = start_G
        while len(self._starts) > _STARTS_KEPT:
            del self._starts[min(self._starts)]
        return start_G

    def _after(self, start_G: np.ndarray, epoch: int) -> np.ndarray:
        """Return how many utterances of each cycle come up to the end of an epoch, given those before it."""
        limit_G = self.quotas * (epoch + 1)
        if self._cap is not None:
            cycles_G, place_G = np.divmod(start_G, np.maximum(self._count_G, 1))
            before_G = cycles_G * self.group_samples + self._end[self._first_G + place_G] - self._end[self._first_G]
            limit_G = np.minimum(limit_G, before_G + self._cap)
        cycles_G, rest_G = np.divmod(limit_G, np.maximum(self.group_samples, 1))
        place_G = np.searchsorted(self._end, self._end[self._first_G] + rest_G, side="right") - 1 - self._first_G
        return np.where(self._count_G > 0, cycles_G * self._count_G + place_G, 0)

    @cached_property
    def _order(self) -> np.ndarray:
        """Usable utterances by group, each group in the order of its cycle, int64."""
        words_N = order_generator(self._seed, self._language, "balance").random_raw(len(self._group_N))
        order_N = np.lexsort((words_N, self._group_N))
        return order_N[(self.usable & (self._group_N != NO_GROUP))[order_N]]

    @cached_property
    def _count_G(self) -> np.ndarray:
        return np.bincount(self._group_N[self._order], minlength=len(self.group_samples))

    @cached_property
    def _first_G(self) -> np.ndarray:
        """Place in `_order` of the first utterance of each cycle."""
        return np.cumsum(self._count_G) - self._count_G

    @cached_property
    def _end(self) -> np.ndarray:
        """Samples of all utterances before each place in `_order`, and of all of them, int64."""
        return np.concatenate([[0], np.cumsum(self._samples_N[self._order])])

    def identity(self) -> bytes:
        """Return everything that the items depend on, for a digest."""
        settings = (SELECTION_VERSION, self._seed, self._language, self._cap, float(self._temperature))
        return repr(settings).encode() + self._group_N.astype("<i8").tobytes()


def shares_of(amounts_G: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the sum of the amounts in proportion to amount^(1/temperature), rounded to whole numbers, int64 [G].

    Decimal arithmetic gives the same result on every platform; floating-point powers do not.
    """
    if temperature == 1 or not amounts_G.any():
        return amounts_G
    with localcontext() as context:
        context.prec = 40
        exponent = 1 / Decimal(temperature)
        powers_G = [Decimal(amount) ** exponent if amount else Decimal(0) for amount in amounts_G.tolist()]
        total, scale = sum(powers_G), Decimal(int(amounts_G.sum()))
        return np.array([int((scale * power / total).to_integral_value()) for power in powers_G], dtype=np.int64)
