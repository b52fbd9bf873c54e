"""Compare the speed of the loader with that of the device."""

from mms_dist.monitor.formatting import percent
from mms_dist.monitor.throughput import FEWEST_ROUNDS, Throughput

MOST_WAIT_FRACTION = 0.05
"""Fraction of the rounds' time spent waiting for data above which the user should act."""


def reading(loader: float, readers: int) -> str:
    """Say how fast the loader workers can read, in seconds of audio per second."""
    return f"{readers} loader worker{'s' if readers != 1 else ''} can read {loader:,.0f} s of audio per second"


def comparison(loader: float, device: float, readers: int) -> str:
    """Say how fast the loader workers can read and the device can train, and which is slower."""
    slower, times = ("device", loader / device) if loader >= device else ("loader", device / loader)
    return f"{reading(loader, readers)}, the device takes {device:,.0f}: the {slower} is {times:,.1f}x slower"


def advice(readers: int) -> str:
    """Say what to do if the loader is slower."""
    return f"raise data.workers (now {readers}), or keep the shards on a local disk"


class SupplyNotice:
    """Reports the comparison after the first rounds, and whenever waiting for data starts or stops being a problem."""

    def __init__(self) -> None:
        self._waits: bool | None = None

    def line(self, throughput: Throughput) -> str | None:
        """Return the line to print after a round; None if nothing has changed."""
        loader, device = throughput.loader_audio_seconds_per_second, throughput.device_audio_seconds_per_second
        waits = throughput.data_wait_fraction > MOST_WAIT_FRACTION
        if throughput.total_rounds < FEWEST_ROUNDS or not loader or not device or waits == self._waits:
            return None
        self._waits = waits
        line = f"loading: {comparison(loader, device, throughput.readers)}"
        line += f"; rounds spend {percent(throughput.data_wait_fraction)} % of their time waiting for data"
        return f"{line}; {advice(throughput.readers)}" if waits else line
