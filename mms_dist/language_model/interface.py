"""What a decoder needs of a language model."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mms_dist.language_model.units import Unit


class LanguageModel(Protocol):
    """A model whose contexts are numbered, so that many of them are queried at once.

    `language` is its code, if the model says it. `words[0]`, `[1]` and `[2]` are `<unk>`, `<s>` and `</s>`; `ids` has
    each word's place in `words`. `start` is the state at the beginning of a sentence, `empty` the one that knows
    nothing of what stood before. `states` is larger than every state.
    """

    @property
    def unit(self) -> Unit: ...

    @property
    def language(self) -> str | None: ...

    @property
    def words(self) -> Sequence[str]: ...

    @property
    def ids(self) -> Mapping[str, int]: ...

    @property
    def start(self) -> int: ...

    @property
    def empty(self) -> int: ...

    @property
    def states(self) -> int: ...

    def advance(
        self, states: NDArray[np.integer], words: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Return log p(word|state) in nats and the states after the words, for each pair; all `[Q]`."""
        ...
