"""The cluster that a plan is for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """Nodes with one process per GPU.

    Attributes:
        speed: seconds of audio that a process trains on per second of wall-clock time; None if unknown.
        bandwidth_gbit: bandwidth of a process in Gbit/s, in each direction at the same time.
        memory_gib: device memory of a process; None if it was not given.
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
        """Return the ranks of a node: launchers give its processes consecutive ranks."""
        return range(node * self.gpus, (node + 1) * self.gpus)
