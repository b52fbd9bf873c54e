"""Measure a round of this rank, and describe it for the monitor."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from mms_dist.data.loader import BatchLoader
from mms_dist.machine import memory_bytes
from mms_dist.model.optimizer import Outcome, learning_rate
from mms_dist.monitor.reports import LanguageRound, RoundReport
from mms_dist.training.gradients import RoundLosses
from mms_dist.training.lifecycle import LanguageStepResult, Lifecycle
from mms_dist.training.scheduler import LanguageScheduler
from mms_dist.training.slot_manager import SlotManager
from shards.schema import SAMPLE_RATE


@dataclass(frozen=True)
class _Totals:
    """The counters of the run's components, read at one moment."""

    seconds: float
    waited: float
    saved: float
    read: float
    read_audio: float


@dataclass
class RoundMeter:
    """Reads the clock and the counters of the components of a run."""

    loader: BatchLoader
    lifecycle: Lifecycle
    scheduler: LanguageScheduler
    slot_manager: SlotManager
    _began: float = field(default_factory=perf_counter)

    def begin(self) -> "RoundMeasure":
        """Start to measure a round."""
        return RoundMeasure(self, self.totals())

    def totals(self) -> _Totals:
        reading = self.loader.reading
        return _Totals(
            perf_counter(),
            self.loader.wait_seconds,
            self.lifecycle.save_seconds,
            reading.seconds,
            reading.audio_seconds,
        )

    @property
    def evaluation_fraction(self) -> float:
        return self.lifecycle.evaluation_seconds / (perf_counter() - self._began)


@dataclass
class RoundMeasure:
    """One round. `read` and `computed` are called when the audio is there, and when the steps are taken."""

    meter: RoundMeter
    before: _Totals
    _read: float = 0.0
    _computed: float = 0.0

    def read(self) -> None:
        self._read = perf_counter()

    def computed(self) -> None:
        self._computed = perf_counter()

    def report(
        self, number: int, results: Sequence[LanguageStepResult], passes: RoundLosses, losses_S: Sequence[float]
    ) -> RoundReport:
        """Describe the round, which is done.

        Args:
            results: of the languages that took part.
            passes: of the round on this rank.
            losses_S: mean loss of each language, by slot.
        """
        meter, before, after = self.meter, self.before, self.meter.totals()
        return RoundReport(
            round=number,
            languages=[
                _language_round(result, result.outcome, losses_S[result.active.slot])
                for result in results
                if result.outcome and result.active.is_led_here
            ],
            seconds=after.seconds - before.seconds,
            audio_seconds=passes.audio_seconds,
            padded_seconds=passes.padded_seconds,
            data_wait_seconds=after.waited - before.waited,
            compute_seconds=self._computed - self._read,
            read_seconds=after.read - before.read,
            read_audio_seconds=after.read_audio - before.read_audio,
            readers=meter.loader.workers,
            save_seconds=after.saved - before.saved,
            evaluation_fraction=meter.evaluation_fraction,
            save_all_seconds=meter.lifecycle.save_all_seconds(meter.slot_manager.in_order()),
            memory_bytes=memory_bytes(),
            waiting=meter.scheduler.waiting,
            finished=meter.scheduler.ended,
        )


def _language_round(result: LanguageStepResult, outcome: Outcome, loss: float) -> LanguageRound:
    active, totals = result.active, result.totals
    progress, optim = active.progress, active.settings.optim
    return LanguageRound(
        language=active.language,
        step=progress.step,
        steps=optim.steps,
        epoch=active.stream.progress(active.position),
        loss=loss,
        lr=learning_rate(progress.step, optim),
        grad_norm=outcome.grad_norm,
        utterances=totals.utterances,
        audio_seconds=totals.samples / SAMPLE_RATE,
    )
