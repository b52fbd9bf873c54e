"""The observers of every run. docs/extending.md shows how to add one."""

from collections.abc import Callable

from mms_dist.training.observer import Observer
from mms_dist.training.parts import Parts


def reports_to_the_monitor(parts: Parts) -> Observer:
    """Tell the log, events and TensorBoard."""
    return parts.report_collector


OBSERVERS: list[Callable[[Parts], Observer]] = [
    reports_to_the_monitor,
]
"""Called once on every rank, when a run is assembled; the observers are called in this order."""
