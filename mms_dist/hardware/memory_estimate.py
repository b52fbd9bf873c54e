"""Estimate a process's device memory, for `plan`, `doctor` and the choice of `forward_seconds`.

The base and the rows are counted exactly. A pass is estimated from the tensors that the code keeps. The memory of CUDA
and NCCL themselves is a rough guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mms_dist.config import Adapter, Model, Rounds
from mms_dist.data.constant_packer import STRIPS
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.hardware.hardware import CONTEXT_BYTES, Hardware
from mms_dist.model.base_shape import FRAMES_PER_SECOND, BaseShape, number_bytes, row_number_bytes
from mms_dist.model.optimizer import MOMENTS
from mms_dist.model.packed_tables import BLOCK

BUFFERS = 2 + len(MOMENTS)
"""Equally large buffers for every slot: rows, their gradients and AdamW's moments."""
ROW_COPIES = 1
"""Copies of a row in float32 or higher, for each language of a pass, while its weights are folded: one kind of weights
at a time, which is half a row, and in the backward pass their gradients too. They are freed within the pass."""
FOLDED_COPIES = 2
"""Copies of a row in the base's precision, for each language of a pass: its folded weights, and in the backward pass
their gradients."""
LOGIT_COPIES = 3
"""Logits, their log-softmax and its gradient, in float32 or higher."""
SHORTEST_SECONDS = 1.0
"""Approximate length of the shortest utterance; limits the number of utterances and languages in a pass."""
LOGITS_PER_FRAME = 3
"""Approximate logits per frame of a packed pass: CTC takes its utterances padded to the longest. With the lengths in
tests/benchmarks/padding.py it is 2.8."""
BLOCK_COPIES = 1
"""In a packed pass, every block holds a copy of its strip's matrix during a product."""
NCCL_GROUP_BYTES = 256 << 20
"""Rough size of a communicator's buffers: reported values range from 0.1 to over 1 GiB, depending on the channels."""
MAX_NCCL_GROUPS = 6
"""The group of all ranks, and the groups of owners of shared languages: one per power of two of ranks, up to about 32,
beyond which a batch has too few utterances to be shared."""
GATHERED_LAYERS = 2
"""Layers that ZeRO-3 gathers at a time: the one in use and the one fetched ahead."""


@dataclass(frozen=True)
class Memory:
    """Device memory of one process, in bytes."""

    base: int
    rows: int
    """Rows with gradients and moments."""
    gathered: int
    """Float32 temporaries of the rows of a pass, and their copies in the base's precision."""
    activations: int
    """Tensors kept for the backward pass and a layer's working memory, or the front end's memory if that is larger."""
    context: int = 0
    communication: int = 0

    @property
    def total(self) -> int:
        return self.after_start + self.context

    @property
    def after_start(self) -> int:
        """Memory needed beyond the context: the free memory that CUDA reports already excludes the context."""
        return self.base + self.rows + self.gathered + self.activations + self.communication


@dataclass(frozen=True, kw_only=True)
class MemoryNeeds:
    """The properties of a run that determine a process's memory, apart from the audio in a pass.

    `dtype` is the base's; `base_shards` is the number of ranks that ZeRO-3 shards the base over.
    """

    shape: BaseShape
    dtype: str
    dim: int
    slots: int
    largest_vocabulary: int
    checkpointing: bool = False
    on_gpu: bool = False
    world: int = 1
    base_shards: int = 1
    packed: bool = False

    def memory(self, forward_seconds: float, *, backward: bool = True) -> Memory:
        """Estimate the memory with one full forward pass of the largest possible number of languages and utterances.

        Without `backward` it is an evaluation pass: of one language, and always padded.
        """
        if not backward:
            return replace(self, packed=False)._memory(forward_seconds, languages=1, backward=False)
        # A packed pass holds a row's weights once per strip: one partial strip per language, plus the full strips.
        return self._memory(forward_seconds, languages=self.slots + STRIPS * self.packed, backward=True)

    def _memory(self, forward_seconds: float, *, languages: int, backward: bool) -> Memory:
        number, row_number = number_bytes(self.dtype), row_number_bytes(self.dtype)
        row = self.shape.row_numbers(self.dim, self.largest_vocabulary)
        utterances = max(1, int(forward_seconds / SHORTEST_SECONDS))
        groups = min(MAX_NCCL_GROUPS, self.world.bit_length())
        copies = ROW_COPIES * row_number + FOLDED_COPIES * number
        return Memory(
            base=self._base_bytes(number),
            rows=BUFFERS * self.slots * row * row_number,
            gathered=min(languages, utterances) * row * copies,
            activations=self._pass_bytes(forward_seconds, utterances, row, backward=backward),
            context=CONTEXT_BYTES if self.on_gpu else 0,
            communication=NCCL_GROUP_BYTES * groups if self.on_gpu and self.world > 1 else 0,
        )

    def _base_bytes(self, number: int) -> int:
        whole = self.shape.parameters * number
        if self.base_shards == 1:
            return whole
        return whole // self.base_shards + GATHERED_LAYERS * whole // self.shape.layers

    def _pass_bytes(self, seconds: float, utterances: int, row: int, *, backward: bool) -> int:
        shape, number = self.shape, number_bytes(self.dtype)
        kept = shape.kept_numbers(seconds, dim=self.dim, checkpointing=self.checkpointing) if backward else 0
        frames = round(seconds * FRAMES_PER_SECOND)
        logits = frames * self.largest_vocabulary * (LOGITS_PER_FRAME if self.packed else 1)
        own = self._of_blocks(frames, row) if self.packed else self._of_utterances(utterances, row, backward=backward)
        encoder = number * (kept + own) + LOGIT_COPIES * row_number_bytes(self.dtype) * logits
        if not self.on_gpu:
            return encoder  # a CPU's front end computes a few utterances at a time and reuses its memory
        encoder += number * shape.working_numbers(seconds, dim=self.dim)
        return max(encoder, number * shape.front_end_numbers(seconds))

    def _of_utterances(self, utterances: int, row: int, *, backward: bool) -> int:
        """Count the numbers of a padded pass, in which every utterance has its own copy of its language's weights: of
        all layers for the backward pass, otherwise of one layer at a time."""
        layers = self.shape.layers if backward and not self.checkpointing else 1
        return utterances * (row - self._head) * layers // self.shape.layers + utterances * self._head

    def _of_blocks(self, frames: int, row: int) -> int:
        """Count the numbers of a packed pass, for one product at a time."""
        matrix = (row - self._head) // self.shape.layers // 2  # approximately the down or up projection
        return -(-frames // BLOCK) * BLOCK_COPIES * max(matrix, self._head)

    @property
    def _head(self) -> int:
        return self.largest_vocabulary * (self.shape.hidden + 1)


@dataclass(frozen=True)
class RunShape:
    """The sizes of a run that determine the memory of a process, on any hardware and in any precision.

    Attributes:
        slots: languages active at once, and with a sharded base the spare slot for idle passes.
        largest_vocabulary: tokens of the language that has the most.
        checkpointing: whether activations are computed again in the backward pass.
    """

    base: BaseShape
    dim: int
    slots: int
    largest_vocabulary: int
    checkpointing: bool = False

    @classmethod
    def of(
        cls,
        base: BaseShape,
        summaries: Sequence[LanguageSummary],
        *,
        adapter: Adapter,
        rounds: Rounds,
        model: Model,
        base_is_sharded: bool = False,
    ) -> "RunShape":
        """Return the sizes of a run of these languages."""
        return cls(
            base,
            dim=adapter.dim,
            slots=min(rounds.slots, len(summaries)) + base_is_sharded,
            largest_vocabulary=max(entry.vocabulary_size for entry in summaries),
            checkpointing=model.activation_checkpointing,
        )

    def memory_needs(self, dtype: str, hardware: Hardware, *, packed: bool = False) -> MemoryNeeds:
        """Return what the memory of a process depends on.

        Args:
            dtype: precision of the base.
            packed: whether training passes are packed.
        """
        return MemoryNeeds(
            shape=self.base,
            dtype=dtype,
            dim=self.dim,
            slots=self.slots,
            largest_vocabulary=self.largest_vocabulary,
            checkpointing=self.checkpointing,
            on_gpu=hardware.on_gpu,
            world=hardware.world,
            base_shards=hardware.world if hardware.base_is_sharded else 1,
            packed=packed,
        )
