"""A run on two processes that faults are put into, and what has to hold of it whatever happens."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.monitor.events import read_events
from tests.corpus import toy_languages
from tests.distributed.launch import Launch, accelerate
from tests.distributed.ranks import Ended, run_ranks, train_ranks, written
from tests.faults import injection
from tests.faults.injection import Fault
from tests.training import final_row, toy_config

WORLD = 2
LANGUAGES = toy_languages(5)
SLOTS = 2
"""Of each process."""
EVERY_ROUNDS, EVERY_STEPS = 5, 8
GRACE_SECONDS = 30.0
"""In which ranks must be gone after a fault: what torchrun and SLURM give, and far from `comm.timeout_seconds`."""


def many_config(directory: Path, base: Path, shards: Path, **sections: Mapping[str, Any]) -> Config:
    """Languages of different lengths, one more than there is room for: it is owned, queued, handed on and shared."""
    own_steps = {code: {"optim": {"steps": 24 + 5 * number}} for number, code in enumerate(LANGUAGES)}
    own: dict[str, Mapping[str, Any]] = {
        "rounds": {"slots": SLOTS, "forward_seconds": 6.0},
        "data": {"workers": 2},
        "checkpoint": {"every_rounds": EVERY_ROUNDS},
        "evaluation": {"every_steps": EVERY_STEPS},
        "languages": own_steps,
    }
    return toy_config(directory, base, shards, **(own | sections))


@contextlib.contextmanager
def faulty(
    config: Config,
    faults: Sequence[Fault],
    record: Path,
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Launch]:
    """`accelerate launch` of the run with these faults; what happens to its workers is in the folder `record`."""
    told = injection.environment(faults, record) | dict(environment or {})
    module = "tests.faults.injected_train"
    with accelerate(config, WORLD, module=module, options=options, environment=told) as launch:
        yield launch


def run_faulty(config: Config, faults: Sequence[Fault], record: Path, *, expect: int | None) -> Ended:
    """The same on forked ranks, to their ends, which take no launcher and no imports."""
    with written(config) as path:
        notes, told = {"config": str(path)}, injection.environment(faults, record)
        return run_ranks(WORLD, "tests.faults.injected_train:forked", notes, environment=told, expect=expect)


def run_to_the_end(config: Config) -> None:
    """The same run again, to its end and without faults."""
    train_ranks(config, WORLD)


def status(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "status.json").read_text(encoding="utf-8"))


def events(directory: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_events(directory / "events.jsonl") if event["kind"] == kind]


def assert_every_checkpoint_is_whole(directory: Path) -> dict[str, list[int]]:
    """All that have their final name verify against their manifests; returns their steps by language."""
    found = {}
    with CheckpointStore(directory / "adapters", keep=2) as store:
        for language in store.languages():
            found[language] = store.steps(language)
            for step in found[language]:
                store.load(language, step=step)
        assert store.damaged == []
    return found


def holding_slots(directory: Path) -> set[str]:
    """The languages that were admitted and have not ended, by the events of a run that was started once."""
    ended = {event["language"] for kind in ("finished", "quarantined") for event in events(directory, kind)}
    return {event["language"] for event in events(directory, "admitted")} - ended


def rounds_of_active(directory: Path) -> dict[str, int]:
    """The round of the newest checkpoint of each language that has one and is not done."""
    with CheckpointStore(directory / "adapters", keep=2) as store:
        states = {language: store.load(language).state for language in store.languages()}
    return {language: state["round"] for language, state in states.items() if state["status"] == "active"}


def assert_same_adapters(one: Path, other: Path, languages: Sequence[str] = LANGUAGES) -> None:
    for language in languages:
        assert final_row(one, language).equal(final_row(other, language)), language
