"""Compiled layers: one set of graphs, made at the start, whatever comes later."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from mms_dist.model import compiled
from mms_dist.model.base import FrozenBase
from mms_dist.model.compiled import GRAPHS_AT_MOST, compile_layers, keep_compiled_in, user_cache_directory
from mms_dist.model.padded_frames import PaddedFrames

GRAPHS_ONLY = "aot_eager"
"""Traces forward and backward as the real compiler is given them, and runs them uncompiled: seconds, not minutes."""


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> Iterator[None]:
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


def through(base: FrozenBase, shape: tuple[int, int], *, is_full: bool, needs_gradient: bool) -> list[Tensor]:
    """A pass through all layers, its input's gradient, and the same pass as in evaluation."""
    utterances, frames = shape
    random = torch.Generator().manual_seed(utterances * frames)
    hidden_BTH = torch.randn(utterances, frames, base.hidden, generator=random).requires_grad_(needs_gradient)
    frames_B = torch.full((utterances,), frames) - (0 if is_full else torch.arange(utterances) % 3)
    attend = PaddedFrames.of(frames_B, frames, is_full=is_full, dtype=base.dtype).attend
    outputs = []
    for grad_mode in (True, False):
        with torch.set_grad_enabled(grad_mode):
            output_BTH = hidden_BTH if grad_mode else hidden_BTH.detach()
            for layer in range(len(base.layers)):
                output_BTH = base.layer(layer, output_BTH, attend)
        outputs.append(output_BTH.detach())
        if output_BTH.requires_grad:
            output_BTH.square().sum().backward()
            assert hidden_BTH.grad is not None
            outputs.append(hidden_BTH.grad)
    return outputs


SHAPES = [(3, 48), (2, 97), (7, 5), (1, 400), (1, 2), (16, 33)]


def test_no_new_shape_and_no_further_layer_compiles_a_graph(small_base: Path) -> None:
    plain = FrozenBase.load(str(small_base), dtype=torch.float32)
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    found = compile_layers(base, GRAPHS_ONLY)
    assert found.layers == len(base.layers) > 1 and 0 < found.graphs < GRAPHS_AT_MOST
    torch.compiler.set_stance("fail_on_recompile")
    for shape in SHAPES:
        for is_full in {True, shape[0] == 1}:
            for needs_gradient in (True, False):
                ours = through(base, shape, is_full=is_full, needs_gradient=needs_gradient)
                theirs = through(plain, shape, is_full=is_full, needs_gradient=needs_gradient)
                for one, other in zip(ours, theirs, strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_what_fits_no_graph_runs_uncompiled(small_base: Path) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    plain = FrozenBase.load(str(small_base), dtype=torch.float32)
    graphs: list[Any] = []

    def counting(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compile_layers(base, counting)
    before = len(graphs)
    one_frame = through(base, (2, 1), is_full=True, needs_gradient=False)
    assert len(graphs) == before
    torch.testing.assert_close(one_frame, through(plain, (2, 1), is_full=True, needs_gradient=False))


def test_the_real_compiler_gives_what_the_layers_give(
    small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    assert keep_compiled_in(tmp_path / "graphs") == tmp_path / "graphs"
    kinds = compiled.kinds_of_input
    monkeypatch.setattr(
        compiled, "kinds_of_input", lambda base: islice(kinds(base), 1)
    )  # padded, as in evaluation: seconds
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    plain = FrozenBase.load(str(small_base), dtype=torch.float32)
    found = compile_layers(base)
    assert found.seconds > 0
    ours = through(base, (4, 31), is_full=False, needs_gradient=False)
    theirs = through(plain, (4, 31), is_full=False, needs_gradient=False)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert any((tmp_path / "graphs").rglob("*.py")), "compiled code was not kept where the next start looks"


def test_graphs_are_kept_where_the_user_says_else_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "mine"))
    assert keep_compiled_in(tmp_path / "ours") == tmp_path / "mine"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", default_cache_dir())  # as torch leaves it
    assert keep_compiled_in(tmp_path / "ours") == tmp_path / "ours"
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    (tmp_path / "file").touch()
    assert keep_compiled_in(tmp_path / "file" / "ours") == Path(default_cache_dir()), "a folder that cannot be made"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert user_cache_directory() == tmp_path / "cache" / "mms-dist" / "compiled"
