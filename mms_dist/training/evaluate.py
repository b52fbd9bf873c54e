"""Error rates of a language on a split, greedily decoded, each language by itself.

By itself, so that what a language scores, and with it when it stops, depends on its company not even in the last bit.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mms_dist import transfer
from mms_dist.data.batch import DamagedSample, Utterance
from mms_dist.data.collate import samples_of
from mms_dist.data.packer import FORWARD_COST, pack
from mms_dist.data.pool import UrgencyPool
from mms_dist.data.randomness import selection_key
from mms_dist.data.read_ahead import read_ahead
from mms_dist.data.share import WHOLE, Share
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.data.utterance_source import UTTERANCES_PER_TASK, Read, UtteranceSource
from mms_dist.distributed.comm import Comm
from mms_dist.evaluation.decode import greedy
from mms_dist.evaluation.metrics import Scores, score
from mms_dist.model.routed import Batch, RoutedModel
from mms_dist.training.features import FeatureSource
from mms_dist.training.lockstep import Lockstep
from shards.index import LanguageIndex, SampleTable
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE, frames_of
from shards.vocabulary import Vocabulary

AHEAD_PASSES = 4
"""Passes read ahead: enough for every thread to have work, some tens of MB of audio at most."""


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


@dataclass(frozen=True)
class Request:
    """A split of a language to be decoded through the row in a slot, or this share of its forward passes.

    `vocabulary` is that of the row, when it is not that of the shards.
    """

    index: LanguageIndex
    split: str
    slot: int
    vocabulary: Vocabulary | None = None
    share: Share = WHOLE


@dataclass(frozen=True)
class _Pass:
    """One forward pass of one request: places in the table of its split."""

    request: int
    source: UtteranceSource
    places: np.ndarray

    def tasks(self) -> list[Callable[[], Read]]:
        starts = range(0, len(self.places), UTTERANCES_PER_TASK)
        return [partial(self.source.read, self.places[start : start + UTTERANCES_PER_TASK], 0) for start in starts]


@dataclass(frozen=True)
class _Decoding:
    """A pass that the device is computing: its utterances, and what will be the most probable token of each frame."""

    request: int
    members: list[Utterance]
    frames_B: np.ndarray
    tokens_BT: Tensor


class Evaluator:
    """Decodes splits of languages greedily.

    Reading and decoding of the next passes' audio go on, on `pool`, while the device computes one; a pass's tokens are
    read from the device when the next pass has been given to it.
    """

    def __init__(
        self,
        model: RoutedModel,
        features: FeatureSource,
        reader: ShardReader,
        *,
        forward_seconds: float,
        forward_cost: int = FORWARD_COST,
        max_utterances: int | None = None,
        lockstep: Lockstep | None = None,
        pool: UrgencyPool[Read] | None = None,
    ) -> None:
        self._lockstep = lockstep or Lockstep(Comm(), model)
        self._model = model
        self._features = features
        self._reader = reader
        self._capacity = int(forward_seconds * SAMPLE_RATE)
        self._forward_cost = forward_cost
        self._max_utterances = max_utterances
        self._pool = pool

    def passes(self, index: LanguageIndex, split: str, share: Share = WHOLE) -> int:
        """Forward passes that `transcribe` makes."""
        return len(self._groups(self._table(index, split), share))

    def transcribe(
        self,
        index: LanguageIndex,
        split: str,
        slot: int,
        vocabulary: Vocabulary | None = None,
        share: Share = WHOLE,
    ) -> Transcription:
        """Greedy transcripts of one request: of the split, or of the utterances chosen of it."""
        return self.transcribe_all([Request(index, split, slot, vocabulary, share)])[0]

    @torch.no_grad()
    def transcribe_all(self, requests: Sequence[Request]) -> list[Transcription]:
        """Greedy transcripts of every request, in their order; a pass holds utterances of one of them alone."""
        found: list[list[Transcription]] = [[] for _ in requests]
        passes = [each for number, request in enumerate(requests) for each in self._passes(number, request)]
        reads = read_ahead(self._pool, (each.tasks() for each in passes), ahead=AHEAD_PASSES)
        last: _Decoding | None = None
        with contextlib.closing(reads):
            for each, read in zip(passes, reads, strict=True):
                self._lockstep.comm.watch.at(f"evaluating {each.source.language}")
                found[each.request].append(Transcription(damaged=[i for i in read if isinstance(i, DamagedSample)]))
                members = [item for item in read if isinstance(item, Utterance)]
                if not members:
                    self._lockstep.idle(backward=False)
                    continue
                with self._lockstep.in_company():
                    now = self._begin(each.request, members, requests[each.request].slot)
                if last is not None:
                    found[last.request].append(_transcribed(last, requests[last.request]))
                last = now
        if last is not None:
            found[last.request].append(_transcribed(last, requests[last.request]))
        return [Transcription.joined(parts) for parts in found]

    def _table(self, index: LanguageIndex, split: str) -> SampleTable:
        return chosen(index.table(split), index.language, split, self._max_utterances)

    def _groups(self, table: SampleTable, share: Share) -> list[np.ndarray]:
        groups = pack(table.samples.tolist(), capacity=self._capacity, forward_cost=self._forward_cost)
        return groups[share.index :: share.of]

    def _passes(self, number: int, request: Request) -> Iterator[_Pass]:
        table = self._table(request.index, request.split)
        source = UtteranceSource(self._reader, request.index.language, request.split, table)
        for group in self._groups(table, request.share):
            yield _Pass(number, source, group)

    def _begin(self, request: int, members: list[Utterance], slot: int) -> _Decoding:
        """Give the device a pass."""
        frames_B = torch.from_numpy(frames_of(samples_of(members)))
        batch = Batch(self._features.features(members), frames_B, torch.full((len(members),), slot))
        return _Decoding(request, members, frames_B.numpy(), self._model.logits(batch).argmax(-1))


def _transcribed(decoding: _Decoding, request: Request) -> Transcription:
    """The texts of a pass; waits for the device to have computed it."""
    vocabulary = request.vocabulary or request.index.vocabulary
    return Transcription(
        rows=[member.id.row for member in decoding.members],
        keys=[member.key for member in decoding.members],
        references=[member.text for member in decoding.members],
        hypotheses=greedy(transfer.to_host(decoding.tokens_BT).numpy(), decoding.frames_B, vocabulary),
    )


def chosen(table: SampleTable, language: str, split: str, most: int | None) -> SampleTable:
    """At most so many utterances, chosen by a hash of where they lie: the same ones in every evaluation and run."""
    if most is None or len(table) <= most:
        return table
    keys = [selection_key(UtteranceId(language, split, row)) for row in table.rows.tolist()]
    return table.select(np.sort(np.argsort(np.array(keys, dtype=np.uint64), kind="stable")[:most]))
