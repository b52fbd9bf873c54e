"""The observers of every run. docs/extending.md shows how to add one."""

from collections.abc import Callable

from mms_dist.training.components import RunComponents
from mms_dist.training.observer import Observer


def reports_to_the_monitor(components: RunComponents) -> Observer:
    """Tell the log, events and TensorBoard."""
    return components.report_collector


OBSERVERS: list[Callable[[RunComponents], Observer]] = [
    reports_to_the_monitor,
]
"""Called once on every rank, when a run is assembled; the observers are called in this order."""
