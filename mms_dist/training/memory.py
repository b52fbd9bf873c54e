"""What a process has in its device's memory: the one estimate that the plan, the doctor and the choice of
`forward_seconds` share.

Counted: the base, the rows. Estimated from what the code keeps: a pass. Rough: what CUDA and NCCL take for themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mms_dist.config import Config
from mms_dist.data.constant_packer import STRIPS
from mms_dist.model.packed_tables import BLOCK
from mms_dist.model.shape import FRAMES_PER_SECOND, BaseShape, number_bytes, row_number_bytes
from mms_dist.training.hardware import CONTEXT_BYTES, Hardware
from mms_dist.training.summaries import LanguageSummary

BUFFERS = 4
"""Rows, their gradients and AdamW's two moments: as much of each, for every slot."""
ROW_COPIES = 1
"""In float32 or more, for each language of a pass, while its weights are folded: those of one kind, half a row, and in
the backward pass their gradients beside them. None is kept through the pass."""
FOLDED_COPIES = 2
"""In the base's precision: the folded weights of each language of a pass, and in the backward pass their gradients."""
LOGIT_COPIES = 3
"""Logits, their log-softmax and its gradient, in float32 or more."""
SHORTEST_SECONDS = 1.0
"""Of an utterance, about: so many utterances, and languages, at most are in a pass."""
LOGITS_PER_FRAME = 3
"""Of a packed pass, about: CTC takes its utterances padded to the longest, whatever their lengths. On the lengths of
tests/benchmarks/padding.py it is 2.8."""
BLOCK_COPIES = 1
"""In a packed pass every block has its strip's matrix for the time of a product."""
NCCL_GROUP_BYTES = 256 << 20
"""Buffers of a communicator, roughly: reports go from 0.1 to over 1 GiB, with the channels that the links need."""
MOST_NCCL_GROUPS = 6
"""That of all ranks, and those of the owners of shared languages: one for each power of two of ranks, up to about 32,
by when a batch has too few utterances to be shared any further."""
GATHERED_LAYERS = 2
"""Of a base that ZeRO-3 spreads: the layer in use and the one that is fetched ahead."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one process."""

    base: int
    rows: int
    """With gradients and moments."""
    gathered: int
    """Float32 temporaries of the rows of a pass, and their copies in the base's precision."""
    activations: int
    """What a pass keeps for its backward pass, and a layer's working memory; or the front end's, if that is more."""
    context: int = 0
    communication: int = 0

    @property
    def total(self) -> int:
        return self.after_start + self.context

    @property
    def after_start(self) -> int:
        """What is taken once the device is in use: `free` as CUDA tells it is without the context already."""
        return self.base + self.rows + self.gathered + self.activations + self.communication


@dataclass(frozen=True)
class Needs:
    """What the memory of a process depends on, beside how much audio is in a pass.

    `dtype` is the base's; `base_shards` are the ranks that ZeRO-3 spreads the base over.
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
        """With one forward pass of full size, over as many languages and utterances as can be in it.

        Without `backward` it is one of evaluation: of one language, and padded whatever training passes are.
        """
        if not backward:
            return replace(self, packed=False)._memory(forward_seconds, languages=1, backward=False)
        # A packed pass has a row's weights once a strip: of every language one that is not full, and full ones.
        return self._memory(forward_seconds, languages=self.slots + STRIPS * self.packed, backward=True)

    def _memory(self, forward_seconds: float, *, languages: int, backward: bool) -> Memory:
        number, row_number = number_bytes(self.dtype), row_number_bytes(self.dtype)
        row = self.shape.row_numbers(self.dim, self.largest_vocabulary)
        utterances = max(1, int(forward_seconds / SHORTEST_SECONDS))
        groups = min(MOST_NCCL_GROUPS, self.world.bit_length())
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
            return encoder  # a CPU's front end goes through a few utterances at a time, and its memory is reused
        encoder += number * shape.working_numbers(seconds, dim=self.dim)
        return max(encoder, number * shape.front_end_numbers(seconds))

    def _of_utterances(self, utterances: int, row: int, *, backward: bool) -> int:
        """Numbers of a padded pass, whose utterances have their languages' weights each for itself: those of all layers
        for the backward pass, else of one layer at a time."""
        layers = self.shape.layers if backward and not self.checkpointing else 1
        return utterances * (row - self._head) * layers // self.shape.layers + utterances * self._head

    def _of_blocks(self, frames: int, row: int) -> int:
        """Numbers of a packed pass, of one product at a time."""
        matrix = (row - self._head) // self.shape.layers // 2  # down or up, about
        return -(-frames // BLOCK) * BLOCK_COPIES * max(matrix, self._head)

    @property
    def _head(self) -> int:
        return self.largest_vocabulary * (self.shape.hidden + 1)


@dataclass(frozen=True)
class Load:
    """What of a run decides how much memory a pass may take."""

    shape: BaseShape
    slots: int
    largest_vocabulary: int


def load_of(config: Config, summaries: Sequence[LanguageSummary], hardware: Hardware) -> Load:
    """What of a run decides how much memory a pass may take; needed on a GPU only.

    Raises:
        BaseModelError: there is no such base.
    """
    slots = min(config.rounds.slots, len(summaries)) + hardware.base_is_sharded  # and one for passes without utterances
    return Load(BaseShape.of(config.model.base), slots, max(entry.vocabulary_size for entry in summaries))


def needs_of(config: Config, load: Load, dtype: str, hardware: Hardware, *, packed: bool = False) -> Needs:
    """What the memory of a process of this run depends on; `packed` is how its training passes lie."""
    return Needs(
        load.shape,
        dtype,
        config.adapter.dim,
        load.slots,
        load.largest_vocabulary,
        checkpointing=config.model.activation_checkpointing,
        on_gpu=hardware.on_gpu,
        world=hardware.world,
        base_shards=hardware.world if hardware.base_is_sharded else 1,
        packed=packed,
    )
