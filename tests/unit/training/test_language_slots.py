"""A language moves in, from owner to owner, and out: all of it, and nothing of anyone else."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mms_dist.data.language_summaries import Work
from mms_dist.data.stream import Position
from mms_dist.data.training_stream import training_stream
from mms_dist.distributed.placement import RankGroup
from mms_dist.model.adapter import RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.optimizer import RowAdamW, RowStep
from mms_dist.training.language_slots import LanguageSlots
from mms_dist.training.observer import Observer
from mms_dist.training.progress import FINISHED, Progress
from mms_dist.training.scheduler import QueuedLanguage
from shards.vocabulary import FIXED, Vocabulary
from tests.training import toy_config
from tests.unit.data.test_training_stream import TABLE

LAYOUT = RowLayout(layers=2, hidden=8, dim=4)
SEED, SLOT = 11, 2


class Bench:
    """A workplace of three slots, whose surroundings note what it asks of them."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.vocabularies = {
            code: Vocabulary(code, (*FIXED, *letters)) for code, letters in (("ron", "ab"), ("ukr", "абв"))
        }
        languages = {code: self._index(code) for code in self.vocabularies}
        own = {"ukr": {"adapter": {"init": "identity"}}}
        config = toy_config(folder, folder, folder, run={"directory": str(folder), "seed": SEED}, languages=own)
        self.optim = config.optim
        bank = AdapterBank(LAYOUT, slots=3, largest_vocabulary=8)
        loader = SimpleNamespace(
            add=lambda stream, _, share: self.asked.append(("serve", (stream.language, share.index, share.count))),
            remove=lambda code: self.asked.append(("stop serving", code)),
        )
        parts: dict[str, Any] = {
            "loader": loader,
            "features": SimpleNamespace(forget=lambda code: self.asked.append(("forget features", code))),
            "store": SimpleNamespace(newest=lambda code: self.snapshot),
            "index": SimpleNamespace(language=languages.__getitem__),
        }
        self.snapshot: Any = None
        self.language_slots = LanguageSlots(
            seed=SEED,
            settings_of=config.for_language,
            stream_of=partial(training_stream, config),
            base_identity="base",
            bank=bank,
            optimizer=RowAdamW(bank),
            observer=Observer(),
            **parts,
        )

    def _index(self, code: str) -> Any:
        forget = lambda: self.asked.append(("forget table", code))  # noqa: E731
        table = lambda split: {"train": TABLE}[split]  # noqa: E731
        return SimpleNamespace(language=code, vocabulary=self.vocabularies[code], table=table, forget=forget)

    def enter(self, code: str, *, slot: int = SLOT, **given: Any) -> Any:
        return self.language_slots.enter(QueuedLanguage(Work(code, 1.0), **given), slot, 5)

    def step(self, slot: int) -> None:
        self.language_slots.bank.grads[slot, :50] = 0.5
        self.language_slots.optimizer.step([RowStep(slot, 1, self.optim)])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(("code", "scheme"), [("ron", "mms"), ("ukr", "identity")])
def test_a_language_starts_by_its_own_scheme_and_the_runs_seed(bench: Bench, code: str, scheme: str) -> None:
    bench.enter("ron" if code == "ukr" else "ukr")
    bench.step(SLOT)
    active = bench.enter(code)
    size = len(bench.vocabularies[code])
    expected = initial_tensors(LAYOUT, size, scheme=scheme, seed=SEED, language=code)
    assert bench.language_slots.bank.row(SLOT).equal(LAYOUT.to_row(expected).float())
    assert all((moment == 0).all() for moment in bench.language_slots.optimizer.buffers.values())
    assert (active.progress.round, active.progress.admitted_round, active.progress.step) == (5, 5, 0)
    assert (active.position, active.slot) == (Position(), SLOT)


def test_all_of_a_language_goes_to_another_owner(bench: Bench, tmp_path: Path) -> None:
    active = bench.enter("ukr")
    bench.step(SLOT)
    active.position, active.replay_until_round, active.progress.step = Position(3, 4), 17, 9
    language_state, other = bench.language_slots.pack(active), Bench(tmp_path)
    other.enter("ron", slot=0)
    other.step(0)
    came = other.language_slots.unpack(language_state, 0, RankGroup(2, 2), 3)
    assert (came.language, came.position, came.replay_until_round, came.slot) == ("ukr", Position(3, 4), 17, 0)
    assert came.progress == active.progress and came.share.index == 1
    assert other.asked[-1] == ("serve", ("ukr", 1, 2))
    for name in ("rows", "grads"):
        ours, theirs = (getattr(each.language_slots.bank, name).detach() for each in (bench, other))
        assert theirs[0].equal(ours[SLOT])
    for name in ("exp_avg", "exp_avg_sq"):
        ours, theirs = (each.language_slots.optimizer.buffers[name] for each in (bench, other))
        assert theirs[0].equal(ours[SLOT]) and theirs[0].any()


def test_nothing_of_a_language_that_leaves_stays(bench: Bench) -> None:
    stays, leaves = bench.enter("ron", slot=0), bench.enter("ukr")
    for active in (stays, leaves):
        bench.step(active.slot)
    before = bench.language_slots.bank.row(0).clone()
    bench.asked.clear()
    bench.language_slots.leave(leaves)
    assert {*bench.asked} == {("stop serving", "ukr"), ("forget features", "ukr"), ("forget table", "ukr")}
    bank, optimizer = bench.language_slots.bank, bench.language_slots.optimizer
    for rows in (bank.rows.detach(), bank.grads, *optimizer.buffers.values()):
        assert (rows[SLOT] == 0).all()
    assert bank.row(0).equal(before) and optimizer.buffers["exp_avg"][0].any()


def test_training_here_does_not_change_the_schedulers_copy(bench: Bench) -> None:
    adapter = initial_tensors(LAYOUT, 8, scheme="mms", seed=0, language="ukr")
    moments = {name: torch.full((LAYOUT.row_size(8),), 0.5) for name in ("exp_avg", "exp_avg_sq")}
    bench.snapshot = SimpleNamespace(step=7, adapter=adapter, optimizer=moments)
    restored = Progress(language="ukr", step=7, round=3, position=Position(1, 2))
    active = bench.enter("ukr", restored=restored)
    assert bench.language_slots.bank.row(SLOT).equal(LAYOUT.to_row(adapter).float())
    assert bench.language_slots.optimizer.moments(SLOT)["exp_avg_sq"].equal(moments["exp_avg_sq"])
    assert (active.progress.step, active.progress.round, active.position) == (7, 5, Position(1, 2))
    active.progress.step, active.progress.status = 8, FINISHED
    active.progress.best.cer = 0.1
    assert restored == Progress(language="ukr", step=7, round=3, position=Position(1, 2))
