"""Where the layers of the base cannot be compiled: on no rank, or an error, by who asked for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.distributed.comm import Comm
from mms_dist.errors import ConfigError
from mms_dist.hardware import base_loading
from mms_dist.hardware.hardware import assumed_hardware
from mms_dist.hardware.resolve import Resolved, resolve
from mms_dist.model import ctc_gpu
from mms_dist.model.base import FrozenBase
from mms_dist.model.compiled import Compilation, compile_layers
from tests.checkpoint_samples import sample


class BesideAnother(Comm):
    """A rank of two, whose neighbour says the same every time."""

    def __init__(self, said: str | None) -> None:
        super().__init__(world=2)
        self._said = said

    def all_gather(self, item: Any) -> list[Any]:
        return [item, self._said]


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> Iterator[None]:
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


@pytest.fixture
def chosen() -> Resolved:
    """`auto` on a GPU, in a long run."""
    resolved = resolve(Config(), assumed_hardware(on_gpu=True, memory_gib=80.0, world=1), rounds=10_000)
    assert resolved.compile and resolved.may_go_uncompiled
    return resolved


def fails(base: FrozenBase) -> Compilation:
    compile_layers(base, "eager")
    raise RuntimeError("Failed to find C compiler.\nPlease specify one")


def is_compiled(base: FrozenBase) -> bool:
    return any(base.layers[index]._compiled_call_impl is not None for index in range(len(base.layers)))


def test_what_auto_chose_and_cannot_be_had_is_left_out_and_said(
    small_base: Path, chosen: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    monkeypatch.setattr(base_loading, "compile_layers", fails)
    resolved, line = base_loading.compile_on_all_ranks(base, chosen, Comm())
    assert resolved == replace(chosen, compile=False) and resolved.kept.compile is False
    assert not is_compiled(base)
    assert line.startswith("compiled  nothing: ") and "(RuntimeError: Failed to find C compiler.)" in line


def test_a_rank_that_can_compile_does_as_the_one_that_cannot(
    small_base: Path, chosen: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    monkeypatch.setattr(base_loading, "compile_layers", lambda base: compile_layers(base, "eager"))
    resolved, line = base_loading.compile_on_all_ranks(base, chosen, BesideAnother(None))
    assert resolved.compile and is_compiled(base) and "graphs" in line
    resolved, line = base_loading.compile_on_all_ranks(base, chosen, BesideAnother("OSError: no room"))
    assert not resolved.compile and not is_compiled(base)
    assert "cannot be compiled on rank 1 (OSError: no room)" in line


def test_what_was_asked_for_or_begun_is_not_left_out(
    small_base: Path, chosen: Resolved, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    monkeypatch.setattr(base_loading, "compile_layers", fails)
    config, hardware = Config(), chosen.hardware
    asked = resolve(replace(config, model=replace(config.model, compile="on")), hardware, rounds=10_000)
    begun = resolve(config, hardware, kept=chosen.kept, rounds=10_000)
    for resolved in (asked, begun):
        assert resolved.compile
        with pytest.raises(ConfigError, match=r"Failed to find C compiler.*--model\.compile off"):
            base_loading.compile_on_all_ranks(base, resolved, Comm())


def test_where_one_rank_cannot_use_the_ctc_kernels_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    left_out: list[str] = []
    monkeypatch.setattr(ctc_gpu, "reason_against", lambda _: None)
    monkeypatch.setattr(ctc_gpu, "leave_out", left_out.append)
    assert base_loading.leave_out_kernels_that_fail(gpu, BesideAnother(None)) is None
    assert not left_out
    found = base_loading.leave_out_kernels_that_fail(gpu, BesideAnother("Triton cannot be imported"))
    assert found == "on rank 1: Triton cannot be imported" and left_out == [found]


def test_a_resume_with_few_rounds_left_compiles_nothing_unless_told_to(tmp_path: Path) -> None:
    summaries: Any = [SimpleNamespace(language="ita", steps=4_000), SimpleNamespace(language="ron", steps=4_000)]
    assert base_loading.rounds_left(tmp_path, summaries) == 4_000
    with CheckpointStore(tmp_path, keep=1) as store:
        store.save(sample("ita", 3_950))
        assert base_loading.rounds_left(tmp_path, summaries) == 4_000, "the language with the most to do counts"
        store.save(sample("ron", 3_900))
    assert base_loading.rounds_left(tmp_path, summaries) == 100
    auto = Config()
    on = replace(auto, model=replace(auto.model, compile="on"))
    for config, rounds, pays in ((auto, 100, False), (auto, 300, True), (on, 100, True)):
        assert base_loading.compiling_pays(config.model, rounds) == pays
