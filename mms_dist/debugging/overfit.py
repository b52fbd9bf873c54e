"""Overfit a few utterances of each language: if this fails, longer training will fail too."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch

from mms_dist.config import Adapter, Augment, LanguageSettings, Optim
from mms_dist.data.batch import BatchRequest, LoadedBatch
from mms_dist.data.language_summaries import Work
from mms_dist.data.stream import Position
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import Check, OverfitPoint, verdict
from mms_dist.debugging.utterance_choice import shortest_first, take
from mms_dist.decoding.greedy import greedy
from mms_dist.evaluation.metrics import score
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model import transfer
from mms_dist.model.optimizer import RowStep
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.scheduler import QueuedLanguage
from shards.read import ShardReader
from shards.wording import counted

LEARNED_CER = 0.2
"""CER at which a language counts as having learned its utterances; training ends once all languages have."""
EVALUATE_EVERY = 10
FEATURE_CACHE_GIB = 1.0
_RATE_AT_192 = 1e-2
"""Learning rate at a hidden size of 192; for other sizes it is scaled by sqrt(192 / hidden size)."""


@dataclass
class OverfitRun:
    """New adapters in the slots of the bench, each trained repeatedly on one batch."""

    bench: Bench
    active_languages: dict[str, ActiveLanguage]
    batches: dict[str, LoadedBatch]
    features: FeatureSource
    learning_rate: float

    @classmethod
    def of(cls, bench: Bench, reader: ShardReader, *, utterances: int) -> "OverfitRun":
        """Put a new adapter into every slot, inside `Bench.restored_afterwards`, and read the utterances."""
        rate = _RATE_AT_192 * sqrt(192 / bench.components.base.hidden)
        active_languages, batches = {}, {}
        for language, old in bench.active_languages.items():
            active = bench.components.language_slots.enter(QueuedLanguage(Work(language, 1.0)), old.slot, 0)
            active.settings = _plain_settings(active.settings, rate)
            active_languages[language] = active
            few = take(reader, active, shortest_first(active.stream.table), count=utterances)
            batches[language] = LoadedBatch(BatchRequest(language, Position()), few)
        features = FeatureSource(bench.components.base, cache_gib=FEATURE_CACHE_GIB)
        return cls(bench, active_languages, batches, features, rate)

    def run(self, *, steps: int, report: Callable[[OverfitPoint], None]) -> list[OverfitPoint]:
        """Train until all languages have learned their utterances, or for `steps`; `report` gets every evaluation."""
        through = self.bench.gradient_pass(features=self.features)
        points: list[OverfitPoint] = []
        for step in range(steps + 1):
            self.bench.components.bank.grads.zero_()
            losses = through.accumulate(list(self.batches.values()), self.active_languages).losses
            if step % EVALUATE_EVERY == 0 or step == steps:
                in_order = {language: losses[language] for language in self.batches}
                points.append(OverfitPoint(step, in_order, self._error_rates()))
                report(points[-1])
                if max(points[-1].cers.values()) <= LEARNED_CER:
                    break
            if step < steps:
                active = self.active_languages.values()
                rows = [RowStep(language.slot, step + 1, language.settings.optim) for language in active]
                self.bench.components.optimizer.step(rows)
        self.bench.components.bank.grads.zero_()
        return points

    @torch.no_grad()
    def _error_rates(self) -> dict[str, float]:
        rates = {}
        for language, batch in self.batches.items():
            forward = self.bench.forward(batch.utterances)
            ids_BT = transfer.to_host(forward.logits_BTV.argmax(-1)).numpy()
            hypotheses = greedy(ids_BT, forward.batch.frames_B.numpy(), self.active_languages[language].vocabulary)
            rates[language] = score([utterance.text for utterance in batch.utterances], hypotheses).cer
        return rates


def every_language_overfits(points: list[OverfitPoint], *, utterances: int) -> Check:
    """Check for every language that the loss has fallen and the hypotheses are almost right."""
    first, last = points[0], points[-1]
    claim = f"every language overfits {counted(utterances, 'utterance')} (CER ≤ {LEARNED_CER:.0%})"
    failed = [c for c, cer in last.cers.items() if not (cer <= LEARNED_CER and last.losses[c] < first.losses[c])]
    worst = max(failed or last.cers, key=lambda language: last.cers[language])
    course = f"CER {first.cers[worst]:.0%} → {last.cers[worst]:.0%}"
    course += f", loss {first.losses[worst]:.2f} → {last.losses[worst]:.2f}"
    measured = f"{counted(last.step, 'step')}; the slowest, {worst}: {course}"
    if failed:
        measured = f"not {', '.join(failed)} in {counted(last.step, 'step')}; {worst}: {course}"
    return verdict("learn", claim, not failed, measured)


def _plain_settings(settings: LanguageSettings, rate: float) -> LanguageSettings:
    """Return the language's settings without what slows overfitting: SpecAugment, dropout, schedule, weight decay."""
    return LanguageSettings(
        optim=Optim(lr=rate, betas=settings.optim.betas, warmup_steps=0, decay="constant", clip_norm=1.0),
        adapter=Adapter(dim=settings.adapter.dim, init=settings.adapter.init),
        augment=Augment(time_prob=0.0, feature_prob=0.0),
        balance=settings.balance,
        evaluation=settings.evaluation,
        stopping=settings.stopping,
    )
