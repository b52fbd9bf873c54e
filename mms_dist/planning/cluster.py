"""The machines a plan is for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """Nodes with a process on each of their GPUs.

    `speed` is the audio a process trains on in a second of wall clock, None if it is not known; `bandwidth_gbit` what a
    process sends and receives at once, and `memory_gib` what it has of its device's memory, None if nobody asks.
    """

    nodes: int
    gpus: int
    speed: float | None = None
    bandwidth_gbit: float = 25.0
    memory_gib: float | None = None

    @property
    def world(self) -> int:
        return self.nodes * self.gpus

    @property
    def bytes_per_second(self) -> float:
        return self.bandwidth_gbit * 1e9 / 8

    def node_ranks(self, node: int) -> range:
        """Launchers number the processes of a node one after another."""
        return range(node * self.gpus, (node + 1) * self.gpus)
