"""What ranks tell the monitor arrives in the order in which it happened, though it is collected now and then."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from mms_dist.distributed.comm import Comm
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.reports import EvaluationReport, LanguageRound, RoundReport
from mms_dist.training.report_collector import DAMAGED, Event, RankReports, ReportCollector


@dataclass
class Heard:
    """A monitor that remembers what it was told."""

    words: list[tuple[Any, ...]] = field(default_factory=list)

    def round(self, report: RoundReport) -> None:
        self.words.append(("round", report.round, [language.language for language in report.languages]))

    def evaluated(self, report: EvaluationReport) -> None:
        self.words.append(("evaluated", report.round, report.language))

    def event(self, kind: str, **fields: Any) -> None:
        self.words.append((kind, fields.get("round"), fields["language"]))


def _report(number: int, language: str) -> RoundReport:
    languages = [
        LanguageRound(
            language=language,
            step=number,
            steps=100,
            epoch=0.1,
            loss=1.0,
            lr=1e-3,
            grad_norm=0.5,
            utterances=4,
            audio_seconds=20.0,
        )
    ]
    return RoundReport(
        round=number,
        languages=languages,
        seconds=1.0,
        audio_seconds=20.0,
        padded_seconds=21.0,
        data_wait_seconds=0.1,
        save_seconds=0.1,
        memory_bytes=1,
        waiting=0,
        finished=0,
        save_all_seconds=0.1,
    )


def test_events_of_other_ranks_are_reported_between_their_rounds() -> None:
    scores = SimpleNamespace(cer=0.5, wer=0.5, utterances=2)
    elsewhere = RankReports(
        [
            Event("admitted", {"round": 3, "language": "ron"}),
            EvaluationReport("ron", 5, 5, scores, True, []),
            Event(DAMAGED, {"language": "ron", "split": "train", "row": 7, "key": "a"}),
            Event("checkpoint_saved", {"round": 3, "language": "ron"}),  # from a thread, and late
            Event("finished", {"round": 6, "language": "ron"}),
        ],
        [_report(number, "ron") for number in (4, 5, 6)],
    )
    comm = SimpleNamespace(world=2, is_first=True, collect=lambda mine: [mine, elsewhere])
    heard = Heard()
    report_collector = ReportCollector(cast(Comm, comm), cast(Monitor, heard))
    for number in (4, 5, 6):
        report_collector.after_round(_report(number, "ita"))
    report_collector.deliver()
    assert heard.words == [
        ("admitted", 3, "ron"),
        ("checkpoint_saved", 3, "ron"),
        ("round", 4, ["ita", "ron"]),
        ("round", 5, ["ita", "ron"]),
        ("evaluated", 5, "ron"),
        (DAMAGED, None, "ron"),
        ("round", 6, ["ita", "ron"]),
        ("finished", 6, "ron"),
    ]
