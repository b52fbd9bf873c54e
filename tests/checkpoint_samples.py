"""Small adapters and snapshots for the tests of the checkpoints."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
from torch import Tensor

from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.model.adapter import AdapterShape

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|")


def nested_vocabulary(language: str, size: int) -> dict[str, dict[str, int]]:
    tokens = [*SPECIAL_TOKENS, *ascii_lowercase, *map(chr, range(0x4E00, 0x4E00 + size))][:size]
    return {language: {token: number for number, token in enumerate(tokens)}}


def random_adapter(shape: AdapterShape, *, seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Views into one flat row, as the training holds them."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    sizes = {name: torch.Size(size) for name, size in shape.tensors().items()}
    flat = torch.randn(sum(s.numel() for s in sizes.values()), generator=generator, dtype=dtype) * 0.02
    parts = flat.split([s.numel() for s in sizes.values()])
    return {name: part.view(size) for (name, size), part in zip(sizes.items(), parts, strict=True)}


def sample(
    language: str = "ron",
    step: int = 1,
    *,
    shape: AdapterShape | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int | None = None,
    state: dict[str, Any] | None = None,
) -> Snapshot:
    shape = shape or AdapterShape(layers=2, hidden=8, dim=4, vocabulary_size=9)
    adapter = random_adapter(shape, seed=step if seed is None else seed, dtype=dtype)
    length = sum(t.numel() for t in adapter.values())
    generator = torch.Generator().manual_seed(step)
    moments = {n: torch.rand(length, generator=generator, dtype=dtype) for n in ("exp_avg", "exp_avg_sq")}
    return Snapshot(
        language=language,
        step=step,
        adapter=adapter,
        optimizer=moments,
        state=state if state is not None else {"status": "active", "round": step, "lr": 0.1 + 0.2, "text": "înă"},
        vocabulary=nested_vocabulary(language, shape.vocabulary_size),
    )


def assert_same(found: Snapshot, expected: Snapshot) -> None:
    """Bit for bit, dtypes included."""
    assert (found.language, found.step) == (expected.language, expected.step)
    assert found.state == expected.state
    assert found.vocabulary == expected.vocabulary
    for mine, theirs in ((found.adapter, expected.adapter), (found.optimizer, expected.optimizer)):
        assert mine.keys() == theirs.keys()
        for name in theirs:
            assert mine[name].dtype == theirs[name].dtype
            assert mine[name].shape == theirs[name].shape
            assert mine[name].numpy().tobytes() == theirs[name].contiguous().numpy().tobytes()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def adapter_of(store: CheckpointStore, step: int, language: str = "ron") -> Path:
    return store.directory / language / f"step-{step:08d}" / f"adapter.{language}.safetensors"


def hidden_names(store: CheckpointStore) -> list[str]:
    return [str(p) for p in store.directory.rglob("*") if p.name.startswith(".")]
