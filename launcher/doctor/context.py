"""The input of the checks: the configuration and the machines, and results of earlier checks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.doctor.machines import Machines

if TYPE_CHECKING:
    from mms_dist.config import Config
    from mms_dist.data.language_summaries import LanguageSummary
    from mms_dist.hardware.hardware import Hardware
    from mms_dist.hardware.hardware_record import KeptSettings
    from mms_dist.model.base_shape import BaseShape


@dataclass(kw_only=True)
class Context:
    """A configuration, where it will run, and what the checks know about it; None means unknown."""

    path: str
    settings: Sequence[str]
    machines: Machines
    load: bool = False
    """Whether to load the base's weights, which takes as much memory as they have."""
    on_check: Callable[[str], None] = lambda name: None
    """Called with the name of each check before it runs."""
    config: "Config | None" = None
    """Invalid values are replaced by defaults."""
    base_is_sharded: bool = False
    """Whether DeepSpeed shards the base over all processes."""
    hardware: "Hardware | None" = None
    """The least that every process has."""
    kept: "KeptSettings | None" = None
    """The hardware record of the run, if it is resumed."""
    shape: "BaseShape | None" = None
    loaded_base: str | None = None
    """Weights hash of the base, as recorded in checkpoints, if the base was loaded."""
    languages: "list[LanguageSummary]" = field(default_factory=list)
    """The languages that can be trained."""
    longest_seconds: float = 0.0
    """Duration of the longest training utterance."""
    directory_is_writable: bool = False
    identity: dict[str, str] = field(default_factory=dict)
    """Values that must be the same on all machines, by name."""
