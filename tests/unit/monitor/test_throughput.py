"""The log says whether the loader or the device is the slower, by how much, and when something should be done."""

import pytest

from mms_dist.monitor.reports import LanguageRound, RoundReport
from mms_dist.monitor.throughput import FEWEST_ROUNDS, LoaderSpeedNotice, Throughput

LANGUAGE = LanguageRound(
    language="ron", step=1, steps=10, epoch=0.1, loss=2.0, lr=1e-3, grad_norm=1.0, utterances=4, audio_seconds=20.0
)


def told(waits: list[float], *, readers: int = 2, read: float = 25.0) -> list[tuple[int, str]]:
    """Lines by the number of their round; each round trains on 100 s of audio in 2 s, and waits so long before."""
    throughput, notice = Throughput(), LoaderSpeedNotice()
    lines = []
    for number, wait in enumerate(waits, start=1):
        report = RoundReport(
            round=number,
            languages=[LANGUAGE],
            seconds=2.0 + wait,
            audio_seconds=100.0,
            padded_seconds=110.0,
            data_wait_seconds=wait,
            compute_seconds=2.0,
            readers=readers,
        )
        report.read_audio_seconds, report.read_seconds = 100.0, 100.0 / read
        throughput.add(report, 100.0 * number)
        line = notice.line(throughput)
        lines += [(number, line)] if line else []
    return lines


def test_the_slower_of_both_is_named_once_after_the_first_rounds() -> None:
    ((number, line),) = told([0.008] * 40, read=300.0)
    assert number == FEWEST_ROUNDS
    assert line == (
        "loading: 2 loader workers can read 600 s of audio per second, the device takes 50: the device is 12.0x "
        "slower; rounds spend 0.4 % of their time waiting for data"
    )


@pytest.mark.parametrize("readers", [1, 3])
def test_where_rounds_wait_for_data_it_says_what_to_do(readers: int) -> None:
    ((_, line),) = told([2.0] * 20, readers=readers, read=10.0)
    assert f"the device takes 50: the loader is {5 / readers:.1f}x slower; rounds spend 50.0 %" in line
    assert f"raise data.workers (now {readers})" in line


def test_it_is_said_again_when_waiting_begins_or_ceases_to_matter() -> None:
    lines = told([0.0] * 20 + [1.0] * 20 + [0.0] * 40)
    assert ["data.workers" in line for _, line in lines] == [False, True, False]


def test_nothing_is_said_where_nothing_was_read_or_measured() -> None:
    throughput, notice = Throughput(), LoaderSpeedNotice()
    for number in range(20):
        throughput.add(
            RoundReport(round=number, languages=[LANGUAGE], seconds=2.0, audio_seconds=100.0, padded_seconds=110.0),
            2.0 * number,
        )
        assert notice.line(throughput) is None
