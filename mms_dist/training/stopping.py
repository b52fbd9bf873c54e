"""When a language is done."""

from dataclasses import dataclass

from mms_dist.config import Stopping


@dataclass
class BestSoFar:
    """The dev CER of a language over its evaluations (fractions, 0.1 is 10 %)."""

    initial: float | None = None
    cer: float | None = None
    wer: float | None = None
    step: int = 0
    stale: int = 0
    """Evaluations since the last improvement."""

    def record(self, step: int, cer: float, wer: float, stopping: Stopping) -> bool:
        """Take an evaluation in; True if it is the best so far."""
        if self.cer is None or cer < self.cer - stopping.min_improvement:
            if self.cer is None:
                self.initial = cer
            self.cer, self.wer, self.step, self.stale = cer, wer, step, 0
            return True
        self.stale += 1
        return False

    def reason_to_stop(self, stopping: Stopping) -> str | None:
        """`target`, `early_stop`, or None to go on."""
        if stopping.target_cer is not None and self.cer is not None and self.cer <= stopping.target_cer:
            return "target"
        if stopping.patience is not None and self.stale >= stopping.patience:
            return "early_stop"
        return None
