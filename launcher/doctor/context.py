"""What is examined, and what the checks have learned of it for those after them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.doctor.site import Site

if TYPE_CHECKING:
    from mms_dist.config import Config
    from mms_dist.model.shape import BaseShape
    from mms_dist.training.hardware import Hardware
    from mms_dist.training.hardware_record import Kept
    from mms_dist.training.summaries import LanguageSummary


@dataclass
class Context:
    """A configuration, where it is to run, and what is known of it; None: could not be found out."""

    path: str
    settings: Sequence[str]
    site: Site
    load: bool = False
    """Load the base's weights, which takes their size in memory."""
    config: "Config | None" = None
    """With defaults in the place of what is wrong in it."""
    base_is_sharded: bool = False
    """By DeepSpeed, over all processes."""
    hardware: "Hardware | None" = None
    """What every process has at least."""
    kept: "Kept | None" = None
    """What a run that is to go on began with."""
    shape: "BaseShape | None" = None
    loaded_base: str | None = None
    """The name that checkpoints know the base by, if it was loaded."""
    languages: "list[LanguageSummary]" = field(default_factory=list)
    """Those that can be trained."""
    longest_seconds: float = 0.0
    """Of an utterance that is trained on."""
    directory_is_writable: bool = False
    identity: dict[str, str] = field(default_factory=dict)
    """What must be the same on all machines, by name."""
