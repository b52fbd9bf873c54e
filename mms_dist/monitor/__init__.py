"""Monitor a run: live progress, TensorBoard, the event log and the closing table."""

from mms_dist.monitor.memory import memory_bytes
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.report import (
    ErrorRates,
    EvaluationReport,
    LanguagePlan,
    LanguageRound,
    RoundReport,
)
from mms_dist.monitor.summary import RunSummary

__all__ = [
    "ErrorRates",
    "EvaluationReport",
    "LanguagePlan",
    "LanguageRound",
    "Monitor",
    "RoundReport",
    "RunSummary",
    "memory_bytes",
]
