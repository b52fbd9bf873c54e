"""Turn a report into one self-contained HTML page.

The page holds its style, its script, its charts and its recordings, loads nothing, and shows everything without the
script too; the script sorts, filters and highlights.
"""

import base64
import math
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime
from importlib.resources import files
from itertools import accumulate
from string import ascii_uppercase
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mms_dist.evaluation.metrics import FAIR_CER, GOOD_CER
from mms_dist.language_names import language_name, language_tag
from mms_dist.monitor.formatting import NONE, signed_percent, spelled_duration
from mms_dist.monitor.history import Gain
from mms_dist.report import run_charts
from mms_dist.report.comparison import Comparison
from mms_dist.report.comparison_chart import mean_curves
from mms_dist.report.error_samples import LEAST_CHARACTERS
from mms_dist.report.robustness import robustness
from mms_dist.report.run_report import Audio, Grade, RunReport
from mms_dist.software import software_versions
from mms_dist.usage_programs import transformers_program
from shards.wording import counted

GLYPHS = {"": Markup("<small>nothing</small>"), " ": Markup("<small>space</small>")}
ALL_OPEN = 8
"""Up to this many languages, their details are open."""
SHOWN_AT_FIRST = 20
"""Languages whose details are listed at first, the worst; report.css hides the others until they are asked for."""
MOST_CONFUSIONS = 12
"""Of characters, and of words, that are shown of a language."""
MOST_INLINE = 100
"""With more languages, their details become elements when they are opened: a browser is slow with that many."""


def page(run: RunReport) -> str:
    """Return the page of one run."""
    by_hours = sorted(run.data.languages.items(), key=lambda item: -item[1].seconds["train"])
    return (
        _environment()
        .get_template("run.html")
        .render(
            run=run,
            charts=_charts(run),
            robustness=robustness(run.languages, run.scored.changes if run.scored else {}),
            grade_counts={grade: run.count(grade) for grade in Grade},
            usage=transformers_program(f"{run.directory}/export", _example(run)),
            example=_example(run),
            gain=Gain.of(run.status.languages),
            languages_by_hours=by_hours,
            most_seconds=by_hours[0][1].seconds["train"] if by_hours else 0.0,
            balance=balance(run),
            **_common(),
        )
    )


def comparison_page(comparison: Comparison) -> str:
    """Return the page of several runs."""
    return (
        _environment()
        .get_template("comparison.html")
        .render(
            comparison=comparison,
            curves=mean_curves(comparison),
            letters=ascii_uppercase,
            grade_counts=Counter(
                each.reports[-1].grade if each.reports[-1] else Grade.UNKNOWN for each in comparison.languages
            ),
            **_common(),
        )
    )


def _example(run: RunReport) -> str:
    return run.scored_languages[0].language if run.scored_languages else "LANG"


def balance(run: RunReport) -> str:
    """Say how unequal the languages' training audio is."""
    known = sorted(each.seconds["train"] for each in run.data.languages.values())
    if len(known) < 2 or not known[0]:
        return ""
    number = 1 + bisect_left(list(accumulate(reversed(known))), sum(known) / 2)
    text = f"The largest language has {known[-1] / known[0]:,.1f} times the training audio of the smallest"
    return f"{text}; {counted(number, 'language')} together {'has' if number == 1 else 'have'} half of it."


def _common() -> dict[str, Any]:
    return {
        "style": Markup(_text("report.css")),
        "script": Markup(_text("report.js")),
        "versions": software_versions(),
        "grades": list(Grade),
        "grade_limits": {
            Grade.GOOD: f" (CER up to {rate(GOOD_CER)} %)",
            Grade.FAIR: f" (up to {rate(FAIR_CER)} %)",
            Grade.POOR: "",
            Grade.UNKNOWN: "",
        },
        "good_cer": GOOD_CER,
        "fair_cer": FAIR_CER,
        "all_open": ALL_OPEN,
        "most_inline": MOST_INLINE,
        "most_confusions": MOST_CONFUSIONS,
        "least_characters": LEAST_CHARACTERS,
        "shown_at_first": SHOWN_AT_FIRST,
    }


def _charts(run: RunReport) -> dict[str, Any]:
    return {
        "curves": run_charts.learning_curves(run.languages),
        "hours": run_charts.hours_against_error(run),
        "language_model": run_charts.greedy_against_language_model(run),
        "loss": run_charts.loss_over_time(run.timing) if run.timing else None,
        "speed": run_charts.speed_over_time(run.timing) if run.timing else None,
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mms_dist.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "rate": rate,
        "hours": hours,
        "duration": spelled_duration,
        "moment": moment,
        "count": lambda number: NONE if number is None else f"{number:,}",
        "megabytes": lambda size: f"{size / 1e6:.1f} MB",
        "data_uri": data_uri,
        "sort_key": sort_key,
        "width": lambda fraction: f"{100 * min(1.0, fraction or 0.0):.0f}",
        "glyph": lambda text: GLYPHS.get(text, text),
        "outer_spaces": outer_spaces,
        "signed": signed_percent,
        "value": lambda value: NONE if value is None else str(value),
        "sparkline": run_charts.sparkline,
        "language_name": language_name,
        "language_tag": language_tag,
    }
    return environment


def _text(name: str) -> str:
    return (files("mms_dist.report") / "templates" / name).read_text(encoding="utf-8")


def rate(fraction: float | None) -> str:
    """`12.3`, or a dash."""
    return NONE if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.1f}"


def hours(seconds: float | None) -> str:
    """`12 min`, `3.4 h`, or a dash."""
    return NONE if seconds is None else run_charts.hours_text(seconds / 3600)


def moment(time: datetime | str | None) -> str:
    """`2026-11-28 14:03 UTC`."""
    if time is None:
        return NONE
    found = datetime.fromisoformat(time) if isinstance(time, str) else time
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def outer_spaces(text: str) -> str:
    """Keep the spaces at the ends of a piece of text, which a browser would drop."""
    inner = text.strip(" ")
    left = len(text) - len(text.lstrip(" ")) if inner else len(text)
    return "\u00a0" * left + inner + "\u00a0" * (len(text) - left - len(inner))


def data_uri(audio: Audio) -> str:
    return f"data:{audio.media_type};base64,{base64.b64encode(audio.content).decode()}"


def sort_key(value: float | None) -> str:
    """A number by which a script sorts; empty for unknown values, which come last."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
