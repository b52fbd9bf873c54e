"""The interface of decoders, which turn the logits of a language's utterances into text.

Legend: B utterances, T frames, V tokens of the language's vocabulary.
"""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mms_dist.config import Config, Evaluation
from mms_dist.config.decoders import DECODERS
from shards.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor


class Decoder(Protocol):
    """Decodes one language. One is made for every evaluation of a language, so it may hold what belongs to the
    language, such as a language model; what takes long to load is best cached by its own module.

    Two steps, because the device computes the next pass while the host makes text of the last one.
    """

    def __init__(self, language: str, vocabulary: Vocabulary, settings: Evaluation) -> None:
        """
        Args:
            settings: the section `evaluation` of this language.

        Raises:
            MmsDistError: something that the user can fix is missing.
        """

    def keep(self, logits_BTV: "Tensor") -> "Tensor":
        """Return what `texts` needs, [B, T, …], still on the device; do not wait for the device."""

    def texts(self, kept_BT: np.ndarray, frames_B: np.ndarray) -> list[str]:
        """Return the hypotheses [B], on the host.

        Args:
            kept_BT: the result of `keep`.
            frames_B: int, number of frames of each utterance; frames from there on are padding.
        """


DecoderOf = Callable[[str, Vocabulary], Decoder]
"""Makes the decoder of a language with the vocabulary that its weights were trained with."""


def decoders_of(config: Config) -> DecoderOf:
    """Return what makes the decoder that the configuration chooses for a language, which may have settings of its own:
    hence the whole configuration."""

    def make(language: str, vocabulary: Vocabulary) -> Decoder:
        settings = config.for_language(language).evaluation
        decoder: Decoder = resolve_name(DECODERS[settings.decoder])(language, vocabulary, settings)
        return decoder

    return make
