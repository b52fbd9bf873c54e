"""What `mms-dist plan` foretells of a run, against what the ranks of a real one did."""

from pathlib import Path

import pytest

from mms_dist.config import Config
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.model.base_shape import BaseShape
from mms_dist.planning.cluster import Cluster
from mms_dist.planning.schedule import Phase, phases
from mms_dist.planning.traffic import communication
from mms_dist.training.scheduler import Ranks
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import train_ranks
from tests.training import toy_config

WORLD = 4
NOTE = "tests.distributed.placements:note_rounds"
STEPS = (3, 9, 5, 2, 7, 4, 9, 6, 8, 3)
FLOAT32 = 4
TOTALS = 3  # numbers that go along with a shared language's gradient


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("planned"), languages=len(STEPS), train=12, dev=1)


@pytest.mark.parametrize(("slots", "placement"), [(2, "owners"), (10, "owners"), (3, "replicate")])
def test_the_simulated_rounds_are_those_of_a_real_run(
    tmp_path: Path, small_base: Path, shards: Path, slots: int, placement: str
) -> None:
    config = toy_config(
        tmp_path / "run",
        small_base,
        shards,
        rounds={"slots": slots, "placement": placement},
        languages={
            code: {"optim": {"steps": steps, "warmup_steps": 1}}
            for code, steps in zip(toy_languages(len(STEPS)), STEPS, strict=True)
        },
    )
    ended = train_ranks(config, WORLD, watch=NOTE)
    foretold = simulated(config)
    rounds = {
        number: {language: (group.first, group.size) for language, group in phase.placement.items()}
        for phase in foretold
        for number in range(phase.first_round, phase.first_round + phase.rounds)
    }
    assert any(phase.waiting for phase in foretold) == (slots < 10), "a queue, or none"
    assert any(group.size > 1 for phase in foretold for group in phase.placement.values()), "some are shared"
    for notes in ended.notes:
        assert notes["placements"] == rounds
    assert reduced_bytes([notes["traffic"] for notes in ended.notes]) == foretold_bytes(config, foretold)


def simulated(config: Config) -> list[Phase]:
    _, summaries = summarise_languages(config)
    replicate = config.rounds.placement == "replicate"
    return list(phases(summaries, Ranks(WORLD, min(config.rounds.slots, len(summaries)), replicate)))


def reduced_bytes(traffic: list[dict[int, dict[str, int]]]) -> int:
    """Given into sums of gradients by all ranks before the last round: what came after it, nobody noted."""
    return sum(rounds[max(rounds)]["gradients"] for rounds in traffic)


def foretold_bytes(config: Config, foretold: list[Phase]) -> int:
    _, summaries = summarise_languages(config)
    shape = BaseShape.of(config.model.base)
    rows = {
        entry.language: FLOAT32 * shape.row_numbers(config.adapter.dim, entry.vocabulary_size) for entry in summaries
    }
    *before, last = foretold
    counted = [*before, Phase(last.first_round, last.rounds - 1, last.works, last.placement, last.waiting)]
    total = 0
    for phase in counted:
        total += communication(phase, {}, Cluster(1, WORLD), rows).traffic.gradients
        shared = sum(group.size for group in phase.placement.values() if group.size > 1)
        total += phase.rounds * shared * TOTALS * FLOAT32
    return total
