"""Check transcripts of shards: the score of every utterance, which are suspicious, and which are the worst."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.score import score_of
from mms_dist.emissions.acoustic_model import AcousticModel
from shards.flags.outliers import lowest_usual_score
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.splits import SPLITS


@dataclass(frozen=True, slots=True)
class ScoredUtterance:
    """An utterance with its score and text, and what the model hears."""

    key: str
    split: str
    score: float
    text: str
    heard: str


@dataclass(frozen=True)
class Check:
    """The scores of a language.

    Attributes:
        scores: by split, in the order of its table.
        thresholds: by split, if it has enough utterances: those below are suspicious, since they are outliers of the
            split. It is not the same in all, since the adapter may have been trained on one.
        worst: those with the lowest scores, the lowest first.
        model: identity of base and adapter.
    """

    language: str
    scores: dict[str, NDArray[np.float32]]
    thresholds: dict[str, float]
    worst: list[ScoredUtterance]
    model: str

    @property
    def all_scores(self) -> NDArray[np.float32]:
        """The scores of all splits."""
        return np.concatenate([self.scores[split] for split in SPLITS])

    @property
    def suspicious(self) -> int:
        """Number of utterances below the threshold of their split."""
        return sum(int((self.scores[split] < threshold).sum()) for split, threshold in self.thresholds.items())


def check_language(
    model: AcousticModel,
    index: ShardIndex,
    reader: ShardReader,
    language: str,
    *,
    worst: int = 20,
    adapter: str | None = None,
    advance: Callable[[int], object] = lambda utterances: None,
) -> Check:
    """Score all utterances of a language.

    Args:
        worst: how many to list.
        adapter: the language whose adapter hears them; None: their own.
        advance: called with the number of utterances that were scored.

    Raises:
        ShardsError: an utterance cannot be read.
    """
    heard = adapter or language
    vocabulary = model.vocabularies[heard]
    scores: dict[str, NDArray[np.float32]] = {}
    lowest: list[ScoredUtterance] = []
    for split in SPLITS:
        table = index.language(language).table(split)
        scores[split] = np.zeros(len(table), np.float32)
        for rows in _batches(table.samples, model.chunk_samples):
            utterances = [reader.read(language, split, row) for row in rows]
            outputs = model.log_probs([heard] * len(rows), [utterance.audio for utterance in utterances])
            for row, utterance, log_prob_TV in zip(rows, utterances, outputs, strict=True):
                score = score_of(log_prob_TV, vocabulary.encode(utterance.text))
                scores[split][row] = score
                if len(lowest) < worst or score < lowest[-1].score:
                    text = vocabulary.decode(log_prob_TV.argmax(axis=1).tolist())
                    lowest.append(ScoredUtterance(utterance.key, split, score, utterance.text, text))
                    lowest = sorted(lowest, key=lambda each: each.score)[:worst]
            advance(len(rows))
    lowest_usual = {split: lowest_usual_score(found) for split, found in scores.items()}
    thresholds = {split: threshold for split, threshold in lowest_usual.items() if threshold is not None}
    return Check(language, scores, thresholds, lowest, model.identity(heard))


def _batches(samples: NDArray[np.int32], most: int) -> Iterator[list[int]]:
    """Yield consecutive rows with about as much audio as is computed at once."""
    rows: list[int] = []
    total = 0
    for row, length in enumerate(samples.tolist()):
        if rows and total + length > most:
            yield rows
            rows, total = [], 0
        rows.append(row)
        total += length
    if rows:
        yield rows
