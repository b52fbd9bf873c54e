"""Whether the loader or the device is the slower, and by how much."""

from mms_dist.monitor.cells import percent
from mms_dist.monitor.throughput import FEWEST_ROUNDS, Throughput

MOST_WAIT_FRACTION = 0.05
"""Of the rounds' time, waiting for data, from which on something should be done about it."""


def reading(loader: float, readers: int) -> str:
    """What the loader's threads could read, in seconds of audio a second."""
    return f"{readers} thread{'s' if readers != 1 else ''} could read {loader:,.0f} s of audio a second"


def comparison(loader: float, device: float, readers: int) -> str:
    """The same, and what the device could train on."""
    slower, times = ("device", loader / device) if loader >= device else ("loader", device / loader)
    return f"{reading(loader, readers)}, the device takes {device:,.0f}: the {slower} is the slower, {times:,.1f}x"


def advice(readers: int) -> str:
    """What to do where the loader is the slower."""
    return f"set data.workers higher (now {readers}), or keep the shards on a disk of this machine"


class SupplyNotice:
    """Says it after the first rounds, and again whenever waiting for data begins or ceases to matter."""

    def __init__(self) -> None:
        self._waits: bool | None = None

    def line(self, throughput: Throughput) -> str | None:
        """What to tell after a round; None: nothing new."""
        loader, device = throughput.loader_audio_seconds_per_second, throughput.device_audio_seconds_per_second
        waits = throughput.data_wait_fraction > MOST_WAIT_FRACTION
        if throughput.total_rounds < FEWEST_ROUNDS or not loader or not device or waits == self._waits:
            return None
        self._waits = waits
        told = f"loader: {comparison(loader, device, throughput.readers)}"
        told += f"; rounds wait {percent(throughput.data_wait_fraction)} % of their time for data"
        return f"{told}: {advice(throughput.readers)}" if waits else told
