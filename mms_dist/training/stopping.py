"""Decide when a language has finished training."""

from dataclasses import dataclass

from mms_dist.config import Stopping


@dataclass
class BestSoFar:
    """The best dev scores of a language over its evaluations, as fractions (0.1 is 10 %)."""

    initial: float | None = None
    cer: float | None = None
    wer: float | None = None
    step: int = 0
    stale: int = 0
    """Evaluations since the last one that improved by more than `min_improvement`."""
    mark: float | None = None
    """CER of that evaluation. The next improvement must be more than `min_improvement` below it."""

    def record(self, step: int, cer: float, wer: float, stopping: Stopping) -> bool:
        """Record an evaluation; return True if it is the best so far."""
        if self.mark is None or cer < self.mark - stopping.min_improvement:
            self.mark, self.stale = cer, 0
        else:
            self.stale += 1
        if self.cer is not None and cer >= self.cer:
            return False
        self.initial = cer if self.initial is None else self.initial
        self.cer, self.wer, self.step = cer, wer, step
        return True

    def reason_to_stop(self, stopping: Stopping) -> str | None:
        """Return `target` or `early_stop`, or None to continue."""
        if stopping.target_cer is not None and self.cer is not None and self.cer <= stopping.target_cer:
            return "target"
        if stopping.patience is not None and self.stale >= stopping.patience:
            return "early_stop"
        return None
