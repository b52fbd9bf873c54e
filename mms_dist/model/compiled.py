"""Compile the frozen layers into a fixed number of graphs at the start; all layers share them.

`torch.compile` specialises on its inputs: a batch of one utterance, with or without an attention mask, with or without
a gradient. Before the first round, every kind of input is run once, with sizes that are treated as dynamic. After that,
an input that fits no graph runs uncompiled, and nothing is recompiled (torch's `eager_on_recompile` setting). All
layers run the same code with different weights. Since 2.5 (`inline_inbuilt_nn_modules`), torch takes the weights as
inputs, so one set of graphs serves all layers.

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
"""By default, torch stops compiling a function after 8 graphs; the kinds of input below need fewer than this."""
_FRAMES = 45
_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


@dataclass(frozen=True)
class Compilation:
    """The result of compiling: number of graphs, number of layers, and the time it took."""

    graphs: int
    layers: int
    seconds: float


def compile_layers(base: FrozenBase, backend: Any = "inductor") -> Compilation:
    """Compile the layers of `base` in place for every kind of padded pass of training and evaluation.

    Sharded layers cannot be compiled, because ZeRO-3 replaces a layer's weights between calls.

    Raises:
        Exception: any error of the compiler, for example if there is no C compiler.
    """
    assert base.sharding is None, "sharded layers cannot be compiled"
    began = perf_counter()
    counted = _Counted(backend)
    torch._dynamo.config.recompile_limit = max(GRAPHS_AT_MOST, torch._dynamo.config.recompile_limit)
    torch.compiler.set_stance("default")
    layers = [base.layers[index] for index in range(len(base.layers))]
    for layer in layers:
        layer.compile(dynamic=True, backend=counted)
    # The first layer creates the graphs; the second shows whether they are shared.
    for layer in layers[:2]:
        for hidden_BTH, attend in kinds_of_input(base):
            output_BTH = layer(hidden_BTH, attend)
            if output_BTH.requires_grad:
                output_BTH.sum().backward()
            with torch.no_grad():
                layer(hidden_BTH.detach(), attend)
    torch.compiler.set_stance("eager_on_recompile")
    return Compilation(counted.graphs, len(layers), perf_counter() - began)


def uncompile_layers(base: FrozenBase) -> None:
    """Run the layers of `base` uncompiled again, after `compile_layers` or if it failed half-way."""
    for index in range(len(base.layers)):
        base.layers[index]._compiled_call_impl = None  # set by torch.nn.Module.compile, which torch cannot undo
    torch.compiler.set_stance("default")


def keep_compiled_in(directory: Path) -> Path:
    """Keep compiled graphs in this folder for the next start, and return the folder that is used.

    The user's environment may name another folder; torch's default is used if the folder cannot be created. Call this
    before anything is compiled.

    Torch's default is in the machine's temporary folder, which a cluster deletes after the job. Torch sets the
    environment variable to it on import, as if a user had chosen it.
    """
    # Imported here because it loads torch's compilers, which takes seconds that a run without compiling can save.
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    chosen = os.environ.get(_CACHE_VARIABLE)
    if chosen is None or chosen == default_cache_dir():
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
            os.environ[_CACHE_VARIABLE] = str(directory)
    return Path(os.environ.get(_CACHE_VARIABLE) or default_cache_dir())


def user_cache_directory() -> Path:
    """The user's folder for compiled graphs, shared by all runs."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "mms-dist" / "compiled"


class _Counted:
    """A compiler backend that counts the graphs it compiles."""

    def __init__(self, backend: Any) -> None:
        self._compile = torch._dynamo.lookup_backend(backend)
        self.graphs = 0

    def __call__(self, graph: Any, inputs: Any) -> Any:
        self.graphs += 1
        return self._compile(graph, inputs)


def kinds_of_input(base: FrozenBase) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield an input of every kind: one utterance, several of equal length, several with padding; each without a
    gradient (as for the lowest layer) and with one (as for all others)."""
    for utterances, is_full in ((3, False), (3, True), (1, True)):
        frames_B = torch.full((utterances,), _FRAMES, device=base.device)
        if not is_full:
            frames_B[1:] -= 7
        attend = PaddedFrames.of(frames_B, _FRAMES, is_full=is_full, dtype=base.dtype).attend
        for needs_gradient in (False, True):
            hidden_BTH = torch.randn(utterances, _FRAMES, base.hidden, device=base.device, dtype=base.dtype)
            yield hidden_BTH.requires_grad_(needs_gradient), attend
