"""I2, I3, I4: what happens to one language does not happen to another, and nothing happens to the base."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.monitor.events import read_events
from mms_dist.training.components import RunComponents
from tests.corpus import build_toy_shards
from tests.training import final_row, toy_config, train, train_watched

A, B, C = "taa", "tab", "tac"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("others"), languages=3, train=8, dev=2)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> Path:
    directory = tmp_path_factory.mktemp("plain")
    train(toy_config(directory, small_base, shards))
    return directory


@pytest.mark.parametrize(
    "own",
    [
        {"optim": {"lr": 0.3}},
        {"optim": {"clip_norm": 1e-6, "weight_decay": 0.5}},
        {"optim": {"betas": [0.5, 0.5], "warmup_steps": 0}},
        {"adapter": {"init": "kaiming", "dropout": 0.5}},
        {"augment": {"time_prob": 0.6}},
    ],
)
def test_the_settings_of_one_language_leave_the_others_bit_identical(
    tmp_path: Path, small_base: Path, shards: Path, plain: Path, own: dict[str, Any]
) -> None:
    train(toy_config(tmp_path, small_base, shards, languages={B: own}))
    assert not final_row(tmp_path, B).equal(final_row(plain, B))
    for other in (A, C):
        assert final_row(tmp_path, other).equal(final_row(plain, other))


def test_nan_in_one_language_quarantines_it_and_the_others_go_on_untouched(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    rows: dict[str, list[Tensor]] = {"clean": [], "poisoned": []}

    def watch(name: str) -> Any:
        def look(components: RunComponents) -> None:
            if components.loop.round == 4:
                if name == "poisoned":
                    components.bank.rows.detach()[components.loop.slot_manager.active_languages[B].slot, :7] = float(
                        "nan"
                    )
            elif components.loop.round == 5:
                rows[name] += [
                    components.bank.row(components.loop.slot_manager.active_languages[code].slot).clone()
                    for code in (A, C)
                ]

        return look

    for name in rows:
        config = toy_config(tmp_path / name, small_base, shards, model={"dtype": "float64"})
        train_watched(config, watch(name))
    assert all(torch.equal(a, b) for a, b in zip(*rows.values(), strict=True))  # the round that met the NaN
    for other in (A, C):
        clean, poisoned = final_row(tmp_path / "clean", other), final_row(tmp_path / "poisoned", other)
        assert float((clean - poisoned).norm() / clean.norm()) <= 1e-12
    events = list(read_events(tmp_path / "poisoned" / "events.jsonl"))
    assert [event["language"] for event in events if event["kind"] == "quarantined"] == [B]
    with CheckpointStore(tmp_path / "poisoned" / "adapters", keep=2) as store:
        assert store.load(B).step == 4  # its last good one


def test_a_quarantined_language_stays_out_until_its_mark_is_removed(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = toy_config(tmp_path, small_base, shards)

    def poison(components: RunComponents) -> None:
        if components.loop.round == 4:
            components.bank.rows.detach()[components.loop.slot_manager.active_languages[B].slot] = float("nan")

    train_watched(config, poison)
    step_before = sorted((tmp_path / "adapters" / B).glob("step-*"))[-1].name
    train(config)
    assert sorted((tmp_path / "adapters" / B).glob("step-*"))[-1].name == step_before
    (tmp_path / "adapters" / B / "QUARANTINED.json").unlink()
    train(config)
    assert sorted((tmp_path / "adapters" / B).glob("step-*"))[-1].name == "step-00000012"


def test_a_huge_gradient_does_not_change_the_clipping_of_another_language(
    tmp_path: Path, small_base: Path, shards: Path, plain: Path
) -> None:
    def shout(components: RunComponents) -> None:
        inner = components.optimizer.step_rows

        def louder(rows: Any) -> Any:
            components.bank.grads[components.loop.slot_manager.active_languages[B].slot] *= 1e6
            return inner(rows)

        if components.loop.round == 0:
            components.loop.optimizer.step_rows = louder  # type: ignore[method-assign]

    train_watched(toy_config(tmp_path, small_base, shards), shout)
    for other in (A, C):
        assert final_row(tmp_path, other).equal(final_row(plain, other))


def test_the_base_keeps_every_bit_and_its_weights_get_no_gradient(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    seen: list[tuple[str, bool]] = []

    def look(components: RunComponents) -> None:
        weights = list(components.base.module.parameters())
        seen.append((components.base.fingerprint(), any(w.grad is not None or w.requires_grad for w in weights)))

    train_watched(toy_config(tmp_path, small_base, shards), look)
    assert len(seen) == 12 and len(set(seen)) == 1 and not seen[0][1]


def test_a_language_whose_batch_is_unreadable_keeps_its_bits_and_its_clock(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    before: list[tuple[Tensor, int]] = []

    def look(components: RunComponents) -> None:
        active = components.loop.slot_manager.active_languages[B]
        before.append((components.bank.row(active.slot).clone(), active.progress.step))
        if components.loop.round == 4:
            take = components.loader.take

            def without_b(requests: Any) -> Any:
                batches = take(requests)
                for batch in batches:
                    if batch.request.language == B:
                        batch.utterances.clear()
                components.loop.loader.take = take  # type: ignore[method-assign]
                return batches

            components.loop.loader.take = without_b  # type: ignore[method-assign]

    train_watched(toy_config(tmp_path, small_base, shards), look)
    (row_before, step_before), (row_after, step_after) = before[4:6]
    assert torch.equal(row_before, row_after) and step_before == step_after == 4
    assert len(before) == 13  # it took its twelfth step one round after the others
