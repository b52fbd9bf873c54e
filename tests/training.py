"""Runs on toy shards with a small base, for tests of the whole training path."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config, parse_config
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.hardware.base_loading import load_base
from mms_dist.monitor.monitor import Monitor
from mms_dist.training import run as training_run
from mms_dist.training.assembly import assemble
from mms_dist.training.components import RunComponents
from mms_dist.training.observer import Observer
from mms_dist.training.restore import restore


def toy_config(directory: Path, base: Path, shards: Path, **sections: Mapping[str, Any]) -> Config:
    """A configuration whose rounds take milliseconds; `sections` replace single settings."""
    document: dict[str, dict[str, Any]] = {
        "run": {"directory": str(directory), "threads": 1},
        "model": {"base": str(base)},
        "data": {"shards": str(shards), "workers": 1},
        "adapter": {"dim": 8, "dropout": 0.1},
        "augment": {"time_prob": 0.1, "time_length": 4, "feature_prob": 0.1, "feature_length": 4},
        "optim": {"lr": 3e-3, "steps": 12, "warmup_steps": 4, "batch_seconds": 4.0, "weight_decay": 0.01},
        "rounds": {"slots": 8, "forward_seconds": 12.0},
        "evaluation": {"every_steps": 6},
        "stopping": {"patience": None},
        "checkpoint": {"every_rounds": 4},
    }
    for name, values in sections.items():
        document[name] = document.get(name, {}) | dict(values)
    return parse_config(document)


def train(config: Config, **options: Any) -> str:
    return training_run.train(config, live=False, **options)


def stop_after(config: Config, rounds: int) -> None:
    """Train for so many rounds, then stop as on a signal."""
    first: list[int] = []

    def watch(components: RunComponents) -> None:
        first.append(components.loop.round)
        components.loop.stop_requested = lambda: components.loop.round >= first[0] + rounds

    train_watched(config, watch)


def train_watched(config: Config, watch: Callable[[RunComponents], None]) -> None:
    """Train, and call `watch` with the components before every round, when `components.loop.round` rounds are done."""
    index, summaries = summarise_languages(config)
    base = load_base(config)
    directory = Path(config.run.directory)
    with (
        Monitor(directory, languages=summaries, live=False, tensorboard=False) as monitor,
        CheckpointStore(directory / "adapters", keep=config.checkpoint.keep) as store,
        assemble(
            config,
            index=index,
            summaries=summaries,
            base=base,
            restored=restore(config, store, index, summaries, base),
            store=store,
            monitor=monitor,
        ) as components,
    ):
        components.observers.members.append(BeforeRounds(components, watch))
        components.loop.run()


class BeforeRounds(Observer):
    """Shows `watch` the components before every round."""

    def __init__(self, components: RunComponents, watch: Callable[[RunComponents], None]) -> None:
        self._components, self._watch = components, watch

    def before_round(self, number: int, languages: Any) -> None:
        self._watch(self._components)


def final_row(directory: Path, language: str, pointer: Any = "last") -> Tensor:
    """All of a finished language's parameters as one vector."""
    with CheckpointStore(directory / "adapters", keep=2) as store:
        adapter = store.load(language, pointer=pointer).adapter
    return torch.cat([tensor.flatten() for _, tensor in sorted(adapter.items())])


def start_row(directory: Path, language: str, config: Config) -> Tensor:
    """The same before the first step, from a run of no rounds."""
    stopped = training_run.train(
        parse_config(config.to_dict() | {"run": config.to_dict()["run"] | {"directory": str(directory)}}),
        stop_requested=lambda: True,
        live=False,
    )
    assert stopped == "preempted"
    return final_row(directory, language)


def distance(joint: Tensor, alone: Tensor, start: Tensor) -> float:
    """DESIGN I1: ||w_joint - w_alone|| / ||w_alone - w_start||."""
    return float((joint - alone).norm() / (alone - start).norm())
