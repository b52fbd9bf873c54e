"""Turn the outputs of segments into text with times and confidences. Runs in the processes of a `SearchPool`.

Legend: T frames, V the vocabulary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.viterbi import align
from mms_dist.decoding.search_pool import best_hypotheses
from mms_dist.decoding.search_settings import SearchSettings
from mms_dist.emissions.windows import FRAME_SECONDS
from mms_dist.transcription.transcript import Segment, Timed
from shards.vocabulary import SPACE, Vocabulary


class Outputs(NamedTuple):
    """A segment's first frame in the recording, and its log-probabilities `[T, V]`."""

    first_frame: int
    log_prob_TV: NDArray[np.float32]


def decode_segments(
    vocabulary: Vocabulary, search: SearchSettings | None, segments: Sequence[Outputs]
) -> list[Segment | None]:
    """Decode segments of one language, greedily or by a search; None for those without any text."""
    if search is None:
        texts = [vocabulary.decode(outputs.log_prob_TV.argmax(axis=1).tolist()) for outputs in segments]
    else:
        texts = [found.text for found in best_hypotheses(search, [outputs.log_prob_TV for outputs in segments])]
    return [timed(text, outputs, vocabulary) if text else None for text, outputs in zip(texts, segments, strict=True)]


def timed(text: str, outputs: Outputs, vocabulary: Vocabulary) -> Segment:
    """Find when the words and characters of a text were said."""
    labels = vocabulary.encode(text)
    alignment = align(outputs.log_prob_TV, labels)
    seconds = ((alignment.frames + outputs.first_frame) * FRAME_SECONDS).round(3).tolist()
    confidence = np.exp(alignment.log_prob).round(4).tolist()
    characters = [
        Timed(character, start, end, sure)
        for character, label, (start, end), sure in zip(text, labels, seconds, confidence, strict=True)
        if label != SPACE
    ]
    words = []
    place = 0
    for word in text.split():
        own = characters[place : place + len(word)]
        place += len(word)
        sure = round(sum(each.confidence for each in own) / len(own), 4)
        words.append(Timed(word, own[0].start, own[-1].end, sure))
    return Segment(text, words[0].start, words[-1].end, tuple(words), tuple(characters))
