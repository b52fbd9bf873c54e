"""Decode a split of a language and measure its error rates, each language separately.

A forward pass never mixes languages here. So a language's score, and with it the step at which training stops, does
not depend on the other languages, not even in the last bit.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from mms_dist.config import Config
from mms_dist.data.batch import DamagedSample, Utterance
from mms_dist.data.batch_shard import WHOLE, BatchShard
from mms_dist.data.conditioned import Conditioned
from mms_dist.data.packer import FORWARD_COST, pack
from mms_dist.data.prefetcher import Prefetcher, read_ahead
from mms_dist.data.randomness import selection_key
from mms_dist.data.urgency_pool import UrgencyPool
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.data.utterance_source import UTTERANCES_PER_TASK, Read, UtteranceSource
from mms_dist.decoding.decoder import Decoder, DecoderOf, decoders_of
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.errors import TrainingError
from mms_dist.evaluation.metrics import MeasuredTexts, Scores, measure
from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules
from mms_dist.features.feature_source import FeaturePlan, FeatureSource
from mms_dist.model import transfer
from mms_dist.model.padded_frames import PaddedFrames
from mms_dist.model.routed import DeviceInput, RoutedModel
from mms_dist.model.staging import BLOCKS, Staged, StagingBlocks
from shards.errors import ShardsError
from shards.index import LanguageIndex, SampleTable
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from shards.vocabulary import Vocabulary

AHEAD_PASSES = 4
"""Number of passes read ahead: enough to keep every thread busy, and at most some tens of MB of audio."""


@dataclass(frozen=True)
class Transcription:
    """References and hypotheses in the order of the split, and the utterances that could not be read.

    `rows` are the utterances' rows in the split's full table, ascending.
    """

    rows: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    hypotheses: list[str] = field(default_factory=list)
    damaged: list[DamagedSample] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Iterable["Transcription"]) -> "Transcription":
        """Join the transcriptions of several passes or owners; the result is in the order of the split."""
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

    def measured(self, rules: ScoringRules = AS_WRITTEN) -> MeasuredTexts:
        """Measure every utterance."""
        return MeasuredTexts(self.rows, self.hypotheses, measure(self.references, self.hypotheses, rules))

    def scores(self, rules: ScoringRules = AS_WRITTEN) -> Scores:
        return self.measured(rules).measured.scores()


@dataclass(frozen=True)
class EvaluationRequest:
    """A request to decode a split of a language, or a share of its forward passes, with the weights in a slot.

    `vocabulary` is needed only if it differs from that of the shards. `condition` changes the recordings.
    """

    index: LanguageIndex
    split: str
    slot: int
    vocabulary: Vocabulary | None = None
    share: BatchShard = WHOLE
    condition: Conditioned | None = None


@dataclass(frozen=True)
class _Pass:
    """One forward pass of one request: positions in the table of its split."""

    request: int
    source: UtteranceSource
    places: np.ndarray

    def tasks(self) -> list[Callable[[], Read]]:
        starts = range(0, len(self.places), UTTERANCES_PER_TASK)
        return [partial(self.source.read, self.places[start : start + UTTERANCES_PER_TASK], 0) for start in starts]


@dataclass(frozen=True)
class PreparedPass:
    """A pass whose audio was read and staged; `plan` and `staged` are None if no utterance could be read."""

    request: int
    damaged: list[DamagedSample]
    members: list[Utterance]
    vocabulary_size: int = 0
    plan: FeaturePlan | None = None
    staged: Staged | None = None


@dataclass(frozen=True)
class PassOnDevice:
    """A pass that the device is computing: its utterances, and the pending read of what its decoder keeps."""

    request: int
    members: list[Utterance]
    frames_B: np.ndarray
    decoder: Decoder
    kept_BT: transfer.Read

    def transcription(self) -> Transcription:
        """Return the transcription of the pass, after waiting for the device to compute it."""
        return Transcription(
            rows=[member.id.row for member in self.members],
            keys=[member.key for member in self.members],
            references=[member.text for member in self.members],
            hypotheses=self.decoder.texts(self.kept_BT.get().numpy(), self.frames_B),
        )


class Evaluator:
    """Decodes splits of languages.

    While the device computes a pass, `pool` reads and decodes the audio of the next passes, which is staged as in
    training, and the main thread turns what the decoder kept of the previous pass into text.
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
        staging: StagingBlocks | None = None,
        decoder_of: DecoderOf | None = None,
        threaded: bool | None = None,
        on_pass: Callable[[int], None] = lambda utterances: None,
    ) -> None:
        """
        Args:
            on_pass: called with the number of utterances of each pass that begins.
            decoder_of: makes the decoder of a language; None: greedy decoding.
            threaded: stage passes in a thread; None: unless the device is the CPU.
            staging: pinned blocks through which passes go to a GPU; None: creates its own, without a memory limit.
        """
        self._lockstep = lockstep or Lockstep(Comm(), model)
        self._model = model
        self._features = features
        self._reader = reader
        self._forward_seconds = forward_seconds
        self._capacity = int(forward_seconds * SAMPLE_RATE)
        self._forward_cost = forward_cost
        self._max_utterances = max_utterances
        self._pool = pool
        self._decoder_of = decoder_of or decoders_of(Config())
        self._threaded = threaded
        self._on_pass = on_pass
        self._staging = staging or StagingBlocks(model.base.device)

    def passes(self, index: LanguageIndex, split: str, share: BatchShard = WHOLE) -> int:
        """Return the number of forward passes that `transcribe` makes."""
        return len(self._groups(self._table(index, split), share))

    def transcribe(
        self,
        index: LanguageIndex,
        split: str,
        slot: int,
        vocabulary: Vocabulary | None = None,
        share: BatchShard = WHOLE,
    ) -> Transcription:
        """Transcribe one split, or the utterances selected from it."""
        return self.transcribe_all([EvaluationRequest(index, split, slot, vocabulary, share)])[0]

    def transcribe_all(self, requests: Sequence[EvaluationRequest]) -> list[Transcription]:
        """Transcribe every request, in order; each pass holds utterances of one request only."""
        return [Transcription.joined(parts) for parts in self.transcribe_passes(requests)]

    @torch.no_grad()
    def transcribe_passes(self, requests: Sequence[EvaluationRequest]) -> list[list[Transcription]]:
        """Transcribe every request; return the parts of each in the order in which its decoder made them.

        What could not be read is in parts of its own, which have no rows.
        """
        found: list[list[Transcription]] = [[] for _ in requests]
        passes = [each for number, request in enumerate(requests) for each in self._passes(number, request)]
        reads = read_ahead(self._pool, (each.tasks() for each in passes), ahead=AHEAD_PASSES)

        def prepare(item: tuple[_Pass, Read]) -> PreparedPass:
            each, read = item
            return self._prepare(each.request, requests[each.request], read)

        last: PassOnDevice | None = None
        decoder: tuple[int, Decoder] | None = None
        with (
            contextlib.closing(reads),
            contextlib.closing(self._stages_ahead()) as ahead,
            contextlib.closing(ahead.map(prepare, zip(passes, reads, strict=True))) as all_prepared,
        ):
            for prepared in all_prepared:
                request = requests[prepared.request]
                self._lockstep.comm.watchdog.mark(f"evaluating {request.index.language}")
                if prepared.damaged:
                    found[prepared.request].append(Transcription(damaged=prepared.damaged))
                if not prepared.members:
                    self._lockstep.idle(backward=False)
                    continue
                if decoder is None or decoder[0] != prepared.request:
                    decoder = prepared.request, self._decoder(request)
                current = self._begin_or_explain(prepared, decoder[1])
                self._on_pass(len(prepared.members))
                if last is not None:
                    found[last.request].append(last.transcription())
                last = current
        if last is not None:
            found[last.request].append(last.transcription())
        return found

    def recordings(self, language: str, split: str, rows: Sequence[int]) -> list[np.ndarray]:
        """Return the audio of utterances, to listen to: int16 at 16 kHz; those before the first unreadable one."""
        found: list[np.ndarray] = []
        with contextlib.suppress(ShardsError):  # evaluation reports what cannot be read
            for row in rows:
                found.append(self._reader.read(language, split, row).audio)
        return found

    def _decoder(self, request: EvaluationRequest) -> Decoder:
        return self._decoder_of(request.index.language, request.vocabulary or request.index.vocabulary)

    def _stages_ahead(self) -> Prefetcher:
        return Prefetcher(self._model.base.device, depth=BLOCKS - 1, threaded=self._threaded)

    def _table(self, index: LanguageIndex, split: str) -> SampleTable:
        return chosen(index.table(split), index.language, split, self._max_utterances)

    def _groups(self, table: SampleTable, share: BatchShard) -> list[np.ndarray]:
        groups = pack(table.samples.tolist(), capacity=self._capacity, forward_cost=self._forward_cost)
        return groups[share.index :: share.count]

    def _passes(self, number: int, request: EvaluationRequest) -> Iterator[_Pass]:
        table, condition = self._table(request.index, request.split), request.condition
        if condition is not None:
            table = condition.table(table)
        source = UtteranceSource(
            reader=self._reader, language=request.index.language, split=request.split, table=table, condition=condition
        )
        for group in self._groups(table, request.share):
            yield _Pass(number, source, group)

    def _prepare(self, number: int, request: EvaluationRequest, read: Read) -> PreparedPass:
        """Stage the utterances of a pass that could be read."""
        damaged = [item for item in read if isinstance(item, DamagedSample)]
        members = [item for item in read if isinstance(item, Utterance)]
        if not members:
            return PreparedPass(number, damaged, members)
        plan = self._features.plan(members)
        size = self._model.bank.vocabulary_sizes[request.slot]
        tensors = {
            **plan.tensors,
            "frames": plan.frames_B,
            "slots of languages": torch.tensor([request.slot]),
            "owners": torch.zeros(len(members), dtype=torch.int64),
            "vocabulary sizes": torch.tensor([size]),
        }
        return PreparedPass(number, damaged, members, size, plan, self._staging.stage(tensors))

    def _begin_or_explain(self, prepared: PreparedPass, decoder: Decoder) -> PassOnDevice:
        """Call `begin`, and turn an out-of-memory error into one that says which setting to lower."""
        try:
            with self._lockstep.collective_pass():
                return self.begin(prepared, decoder)
        except torch.OutOfMemoryError as error:
            longest = max(len(member.audio) for member in prepared.members) / SAMPLE_RATE
            raise TrainingError(
                f"the device ran out of memory while evaluating, in a forward pass of {len(prepared.members)} "
                f"utterances of up to {longest:.3g} s",
                fix=f"lower evaluation.forward_seconds (now {self._forward_seconds:g}; a longer utterance is in a "
                "pass of its own), or stop other programs that use the device",
            ) from error

    def begin(self, prepared: PreparedPass, decoder: Decoder) -> PassOnDevice:
        """Start a pass on the device, without waiting for it."""
        plan, staged = prepared.plan, prepared.staged
        assert plan is not None and staged is not None, "a pass without utterances is not computed"
        tensors, is_full = staged.on_device(), int(plan.frames_B.min()) == plan.frames
        batch = DeviceInput(
            frames=PaddedFrames.of(tensors["frames"], plan.frames, is_full=is_full, dtype=self._model.base.dtype),
            features=self._features.on_device(plan, tensors),
            slots_U=tensors["slots of languages"],
            owner_B=tensors["owners"],
            sizes_U=tensors["vocabulary sizes"],
            largest_vocabulary=prepared.vocabulary_size,
        )
        kept_BT = transfer.begin_read(decoder.keep(self._model.device_logits(batch)))
        return PassOnDevice(prepared.request, prepared.members, plan.frames_B.numpy(), decoder, kept_BT)


def chosen(table: SampleTable, language: str, split: str, most: int | None) -> SampleTable:
    """Select at most `most` utterances by a hash of their ids: the same ones in every evaluation and run."""
    if most is None or len(table) <= most:
        return table
    keys = [selection_key(UtteranceId(language, split, row)) for row in table.rows.tolist()]
    return table.select(np.sort(np.argsort(np.array(keys, dtype=np.uint64), kind="stable")[:most]))
