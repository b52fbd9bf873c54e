"""Error rates of a language on a split, greedily decoded, each language by itself.

By itself, so that what a language scores, and with it when it stops, depends on its company not even in the last bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from mms_dist import transfer
from mms_dist.data.batch import DamagedSample, Utterance
from mms_dist.data.collate import samples_of
from mms_dist.data.packer import pack
from mms_dist.data.randomness import selection_key
from mms_dist.data.share import WHOLE, Share
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.distributed.comm import Comm
from mms_dist.evaluation.decode import greedy
from mms_dist.evaluation.metrics import Scores, score
from mms_dist.model.routed import Batch, RoutedModel
from mms_dist.training.features import FeatureSource
from mms_dist.training.lockstep import Lockstep
from shards.errors import DamagedSampleError
from shards.index import LanguageIndex, SampleTable
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE, frames_of
from shards.vocabulary import Vocabulary


@dataclass(frozen=True)
class Transcription:
    """What was said and what was decoded, in the order of the split, and what could not be read.

    `rows` are the utterances' rows in the split's whole table, ascending.
    """

    rows: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    hypotheses: list[str] = field(default_factory=list)
    damaged: list[DamagedSample] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Iterable["Transcription"]) -> "Transcription":
        """One from those of several passes or owners, in the order of the split whatever the order of the parts."""
        parts = list(parts)
        lines = sorted(
            line for part in parts for line in zip(part.rows, part.keys, part.references, part.hypotheses, strict=True)
        )
        return cls(
            rows=[row for row, _, _, _ in lines],
            keys=[key for _, key, _, _ in lines],
            references=[reference for _, _, reference, _ in lines],
            hypotheses=[hypothesis for _, _, _, hypothesis in lines],
            damaged=sorted((sample for part in parts for sample in part.damaged), key=lambda sample: sample.id),
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
        damaged: list[DamagedSample] = []
        passes: list[Transcription] = []
        for group in self._groups(table, share):
            self._lockstep.comm.watch.at(f"evaluating {index.language}")
            members = list(self._read(index.language, split, table, group, damaged))
            if not members:
                self._lockstep.idle(backward=False)
                continue
            with self._lockstep.in_company():
                texts = self._decode(members, vocabulary, slot)
            passes.append(
                Transcription(
                    rows=[member.id.row for member in members],
                    keys=[member.key for member in members],
                    references=[member.text for member in members],
                    hypotheses=texts,
                )
            )
        return Transcription.joined([*passes, Transcription(damaged=damaged)])

    def _table(self, index: LanguageIndex, split: str) -> SampleTable:
        return chosen(index.table(split), index.language, split, self._max_utterances)

    def _groups(self, table: SampleTable, share: Share) -> list[np.ndarray]:
        return pack(table.samples.tolist(), capacity=self._capacity)[share.index :: share.of]

    def _read(
        self, language: str, split: str, table: SampleTable, group: np.ndarray, damaged: list[DamagedSample]
    ) -> Iterator[Utterance]:
        for place in group.tolist():
            utterance = UtteranceId(language, split, int(table.rows[place]))
            try:
                raw = self._reader.read(language, split, utterance.row)
            except DamagedSampleError as error:
                damaged.append(DamagedSample(utterance, error.key, error.shard, error.reason))
                continue
            frames = int(table.frames[place])
            yield Utterance(utterance, raw.key, 0, raw.audio, np.zeros(1, np.int32), raw.text, frames)

    def _decode(self, members: list[Utterance], vocabulary: Vocabulary, slot: int) -> list[str]:
        frames_B = torch.from_numpy(frames_of(samples_of(members)))
        batch = Batch(self._features.features(members), frames_B, torch.full((len(members),), slot))
        ids_BT = transfer.to_host(self._model.logits(batch).argmax(-1))
        return greedy(ids_BT.numpy(), frames_B.numpy(), vocabulary)


def chosen(table: SampleTable, language: str, split: str, most: int | None) -> SampleTable:
    """At most so many utterances, chosen by a hash of where they lie: the same ones in every evaluation and run."""
    if most is None or len(table) <= most:
        return table
    keys = [selection_key(UtteranceId(language, split, row)) for row in table.rows.tolist()]
    return table.select(np.sort(np.argsort(np.array(keys, dtype=np.uint64), kind="stable")[:most]))
