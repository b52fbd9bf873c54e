"""Error rates of a language on a split, greedily decoded, each language by itself.

By itself, so that what a language scores, and with it when it stops, depends on its company not even in the last bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import collate, random_key
from mms_dist.data.packer import pack
from mms_dist.data.share import WHOLE, Share
from mms_dist.distributed.comm import Comm
from mms_dist.evaluation.decode import greedy
from mms_dist.evaluation.metrics import Scores, score
from mms_dist.model.routed import Batch, RoutedModel
from mms_dist.training.features import FeatureSource, frames_of_batch
from mms_dist.training.lockstep import Lockstep
from shards.errors import DamagedSampleError
from shards.index import LanguageIndex, SampleTable
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from shards.vocabulary import Vocabulary

_SELECTION = "evaluation"


@dataclass(frozen=True)
class Transcription:
    """What was said and what was decoded, in the order of the table, and the keys that could not be read.

    `places` are the utterances' rows in the table, ascending.
    """

    keys: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    hypotheses: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Iterable["Transcription"]) -> "Transcription":
        """One from those of all owners."""
        parts = list(parts)
        rows = sorted(
            row for part in parts for row in zip(part.places, part.keys, part.references, part.hypotheses, strict=True)
        )
        return cls(
            keys=[key for _, key, _, _ in rows],
            references=[reference for _, _, reference, _ in rows],
            hypotheses=[hypothesis for _, _, _, hypothesis in rows],
            damaged=[key for part in parts for key in part.damaged],
            places=[place for place, _, _, _ in rows],
        )

    def scores(self) -> Scores:
        return score(self.references, self.hypotheses)


class Evaluator:
    """Decodes a split of a language through the row in a slot."""

    def __init__(
        self,
        model: RoutedModel,
        features: FeatureSource,
        reader: ShardReader,
        *,
        forward_seconds: float,
        max_utterances: int | None = None,
        lockstep: Lockstep | None = None,
    ) -> None:
        self._lockstep = lockstep or Lockstep(Comm(), model)
        self._model = model
        self._features = features
        self._reader = reader
        self._capacity = int(forward_seconds * SAMPLE_RATE)
        self._max_utterances = max_utterances

    def passes(self, index: LanguageIndex, split: str, share: Share = WHOLE) -> int:
        """Forward passes that `transcribe` makes."""
        return len(self._groups(self._table(index, split), share))

    @torch.no_grad()
    def transcribe(
        self,
        index: LanguageIndex,
        split: str,
        slot: int,
        vocabulary: Vocabulary | None = None,
        share: Share = WHOLE,
    ) -> Transcription:
        """Greedy transcripts of the split (or of the utterances chosen of it, or of this share of its forward passes).

        `vocabulary` is that of the row in the slot, when it is not that of the shards.
        """
        vocabulary = vocabulary or index.vocabulary
        table = self._table(index, split)
        result = Transcription()
        decoded: dict[int, tuple[str, str, str]] = {}
        for group in self._groups(table, share):
            self._lockstep.comm.watch.at(f"evaluating {index.language}")
            members = dict(self._read(index.language, split, table, group, result.damaged))
            if not members:
                self._lockstep.idle(backward=False)
                continue
            with self._lockstep.in_company():
                texts = self._decode(list(members.values()), vocabulary, slot)
            for place, utterance, text in zip(members, members.values(), texts, strict=True):
                decoded[place] = (utterance.key, utterance.text, text)
        for place in sorted(decoded):
            result.places.append(place)
            for values, value in zip((result.keys, result.references, result.hypotheses), decoded[place], strict=True):
                values.append(value)
        return result

    def _table(self, index: LanguageIndex, split: str) -> SampleTable:
        return _chosen(index.table(split), index.language, self._max_utterances)

    def _groups(self, table: SampleTable, share: Share) -> list[np.ndarray]:
        return pack(table.samples.tolist(), capacity=self._capacity)[share.index :: share.of]

    def _read(
        self, language: str, split: str, table: SampleTable, group: np.ndarray, damaged: list[str]
    ) -> Iterator[tuple[int, Utterance]]:
        for place in group.tolist():
            try:
                raw = self._reader.read(language, split, int(table.rows[place]))
            except DamagedSampleError as error:
                damaged.append(error.key)
                continue
            # The split is part of the key under which features are remembered.
            key = f"{split}/{raw.key}"
            frames = int(table.frames[place])
            yield place, Utterance(language, key, 0, place, raw.audio, np.zeros(1, np.int32), raw.text, frames)

    def _decode(self, members: list[Utterance], vocabulary: Vocabulary, slot: int) -> list[str]:
        collated = collate(members, seed=0)
        features_BTC = self._features.features(members, collated)
        frames_B = frames_of_batch(features_BTC, collated)
        logits_BTV = self._model.logits(Batch(features_BTC, frames_B, torch.full((len(members),), slot)))
        return greedy(logits_BTV.argmax(-1).cpu().numpy(), frames_B.numpy(), vocabulary)


def _chosen(table: SampleTable, language: str, most: int | None) -> SampleTable:
    """At most so many utterances, chosen by a hash of their keys: the same ones in every evaluation and run."""
    if most is None or len(table) <= most:
        return table
    order = sorted(range(len(table)), key=lambda row: random_key(0, language, 0, f"{_SELECTION}/{table.keys[row]}"))
    return table.select(np.sort(np.array(order[:most])))
