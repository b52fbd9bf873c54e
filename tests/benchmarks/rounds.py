"""Rounds of real training, timed from outside: the loop asks at every round's edge whether to stop."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import parse_config
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.hardware.base_loading import load_base
from mms_dist.monitor.monitor import Monitor
from mms_dist.training.assembly import assemble
from mms_dist.training.components import RunComponents
from mms_dist.training.restore import fresh_start


class RoundClock:
    """Lets a loop run for some rounds, and keeps the seconds of each with all that goes on between two."""

    def __init__(self) -> None:
        self._left = 0
        self._last = 0.0
        self.seconds: list[float] = []

    def stop_requested(self) -> bool:
        now = perf_counter()
        if self._last:
            self.seconds.append(now - self._last)
        self._last = now
        self._left -= 1
        return self._left < 0

    def run(self, components: RunComponents, rounds: int) -> list[float]:
        """Seconds of each of the next rounds of a loop."""
        self._left, self._last, self.seconds = rounds, 0.0, []
        components.loop.run()
        return self.seconds


@contextlib.contextmanager
def training(
    run_directory: Path, settings: dict[str, Any]
) -> Iterator[tuple[RunComponents, RoundClock, CheckpointStore]]:
    """The components of a run that goes on for as many rounds as its clock lets it."""
    config = parse_config(settings | {"run": {"directory": str(run_directory)}})
    index, summaries = summarise_languages(config)
    base = load_base(config)
    clock = RoundClock()
    with (
        open(run_directory.with_suffix(".log"), "w", encoding="utf-8") as log,
        CheckpointStore(run_directory / "adapters", keep=config.checkpoint.keep) as store,
        Monitor(run_directory, languages=summaries, live=False, console=Console(file=log)) as monitor,
        assemble(
            config,
            index=index,
            summaries=summaries,
            base=base,
            restored=fresh_start(summaries),
            store=store,
            monitor=monitor,
            stop_requested=clock.stop_requested,
        ) as components,
    ):
        yield components, clock, store
