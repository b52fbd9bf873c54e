"""The components of a run on this rank, which observers, debugging and tests use."""

from dataclasses import dataclass
from pathlib import Path

from mms_dist.data.loader import BatchLoader
from mms_dist.distributed.comm import Comm
from mms_dist.evaluation.evaluator import Evaluator
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.optimizer import RowAdamW
from mms_dist.model.routed import RoutedModel
from mms_dist.training.gradients import GradientPass
from mms_dist.training.language_slots import LanguageSlots
from mms_dist.training.lifecycle import Lifecycle
from mms_dist.training.loop import RoundLoop
from mms_dist.training.observer import Observers
from mms_dist.training.report_collector import ReportCollector


@dataclass(kw_only=True)
class RunComponents:
    """The components of a run on this rank.

    Attributes:
        directory: the run directory.
        comm: `comm.rank` and `comm.world` say which rank this is.
        observers: called at fixed points; more can be appended to `observers.members` before the first round.
    """

    directory: Path
    comm: Comm
    base: FrozenBase
    bank: AdapterBank
    model: RoutedModel
    optimizer: RowAdamW
    loader: BatchLoader
    gradients: GradientPass
    evaluator: Evaluator
    language_slots: LanguageSlots
    lifecycle: Lifecycle
    report_collector: ReportCollector
    observers: Observers
    loop: RoundLoop
