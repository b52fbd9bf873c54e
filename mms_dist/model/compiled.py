"""Compiled frozen layers: a fixed number of graphs, made at the start, shared by all layers.

`torch.compile` specialises on what it sees: a batch of one utterance, an attention mask or none, an input that needs a
gradient or not. All of these are shown to it once, with sizes that it treats as unknown, before the first round; after
that an input that fits none of the graphs runs uncompiled, and nothing is compiled anew (`eager_on_recompile`, torch's
own setting). All layers run the same code with other weights, and torch (since 2.5, `inline_inbuilt_nn_modules`) takes
the weights as inputs, so one set of graphs serves them all.

Legend: B utterances, T frames, H hidden size.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase
from mms_dist.model.padded_frames import PaddedFrames

GRAPHS_AT_MOST = 16
"""Torch gives up on a function after 8 graphs unless told otherwise; the kinds of input below need fewer than this."""
_FRAMES = 45
_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


@dataclass(frozen=True)
class Compilation:
    """What was compiled: how many graphs of how many layers, and how long that took."""

    graphs: int
    layers: int
    seconds: float


def compile_layers(base: FrozenBase, backend: Any = "inductor") -> Compilation:
    """Compile the layers of `base` in place for every kind of padded pass of training and evaluation.

    Not for layers that are sharded: ZeRO-3 changes what a layer's weights are between two calls.

    Raises:
        Exception: whatever the compiler raises, for instance where there is no C compiler.
    """
    assert base.sharding is None, "sharded layers cannot be compiled"
    began = perf_counter()
    counted = _Counted(backend)
    torch._dynamo.config.recompile_limit = max(GRAPHS_AT_MOST, torch._dynamo.config.recompile_limit)
    torch.compiler.set_stance("default")
    layers = [base.layers[index] for index in range(len(base.layers))]
    for layer in layers:
        layer.compile(dynamic=True, backend=counted)
    # The first layer makes the graphs, the second shows whether they are shared.
    for layer in layers[:2]:
        for hidden_BTH, attend in _kinds(base):
            output_BTH = layer(hidden_BTH, attend)
            if output_BTH.requires_grad:
                output_BTH.sum().backward()
            with torch.no_grad():
                layer(hidden_BTH.detach(), attend)
    torch.compiler.set_stance("eager_on_recompile")
    return Compilation(counted.graphs, len(layers), perf_counter() - began)


def uncompile_layers(base: FrozenBase) -> None:
    """Let the layers of `base` run as they are written, after `compile_layers` or where it failed half-way."""
    for index in range(len(base.layers)):
        base.layers[index]._compiled_call_impl = None  # what torch.nn.Module.compile sets; torch has no way back
    torch.compiler.set_stance("default")


def keep_compiled_in(directory: Path) -> Path:
    """Keep compiled graphs in this folder for the next start, unless the user's environment names another or it cannot
    be made; call it before anything is compiled. Returns the folder that they are kept in.

    Torch's own choice lies in the machine's temporary folder, which on a cluster goes with the job; torch puts it into
    the environment when it is imported, where it looks as if a user had chosen it.
    """
    # Not at the top: it imports torch's compilers, seconds that a run which compiles nothing does not have to wait for.
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    chosen = os.environ.get(_CACHE_VARIABLE)
    if chosen is None or chosen == default_cache_dir():
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
            os.environ[_CACHE_VARIABLE] = str(directory)
    return Path(os.environ.get(_CACHE_VARIABLE) or default_cache_dir())


def user_cache_directory() -> Path:
    """The user's folder for compiled graphs: those of one run serve the next."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "mms-dist" / "compiled"


class _Counted:
    """A compiler backend that counts the graphs it is given."""

    def __init__(self, backend: Any) -> None:
        self._compile = torch._dynamo.lookup_backend(backend)
        self.graphs = 0

    def __call__(self, graph: Any, inputs: Any) -> Any:
        self.graphs += 1
        return self._compile(graph, inputs)


def _kinds(base: FrozenBase) -> Iterator[tuple[Tensor, Tensor | None]]:
    """An input of every kind: one utterance, several of one length, several with padding; the lowest layer's input
    needs no gradient, that of the others does."""
    for utterances, is_full in ((3, False), (3, True), (1, True)):
        frames_B = torch.full((utterances,), _FRAMES, device=base.device)
        if not is_full:
            frames_B[1:] -= 7
        attend = PaddedFrames.of(frames_B, _FRAMES, is_full=is_full, dtype=base.dtype).attend
        for needs_gradient in (False, True):
            hidden_BTH = torch.randn(utterances, _FRAMES, base.hidden, device=base.device, dtype=base.dtype)
            yield hidden_BTH.requires_grad_(needs_gradient), attend
