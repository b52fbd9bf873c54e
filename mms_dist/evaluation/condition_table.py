"""Error rates under conditions, beside those on clean audio, as a table for people."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from mms_dist.evaluation.condition_scoring import ConditionResult
from mms_dist.evaluation.metrics import Scores
from mms_dist.evaluation.paired import Change, mean_change
from mms_dist.monitor.formatting import percent, signed_percent

CLEAN = "clean"


def condition_table(
    clean: Mapping[str, Scores], conditions: Mapping[str, Mapping[str, ConditionResult]], *, title: str
) -> Table:
    """Make a table with a row for clean audio and one for each condition.

    Rates are means over the languages scored under the condition. A change is the rate minus that on clean audio, with
    its 95 % interval from a paired bootstrap.

    Args:
        clean: scores by language.
        conditions: by language, the results by label.
    """
    table = Table(title=Text(title, "table.title"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("condition", no_wrap=True, style="bold")
    for rate in ("CER %", "WER %"):
        table.add_column(rate, justify="right", style="cyan" if rate == "CER %" else None)
        table.add_column("change", justify="right")
        table.add_column("95 %", justify="right", style="dim", no_wrap=True)
    if len(conditions) > 1:
        table.add_column("worst", no_wrap=True, style="dim")
    _add_row(table, CLEAN, {language: clean[language] for language in conditions}, None)
    for label in dict.fromkeys(label for own in conditions.values() for label in own):
        results = {language: own[label] for language, own in conditions.items() if label in own}
        change = mean_change([each.paired for each in results.values()])
        _add_row(table, label, {language: each.scores for language, each in results.items()}, change)
    return table


def _add_row(table: Table, label: str, scores: Mapping[str, Scores], change: Change | None) -> None:
    cells = [label]
    for name in ("cer", "wer"):
        cells.append(percent(_mean([getattr(each, name) for each in scores.values()])))
        if change is None:
            cells += ["", ""]
        else:
            low, high = getattr(change, f"{name}_low"), getattr(change, f"{name}_high")
            cells += [signed_percent(getattr(change, name)), f"{signed_percent(low)} … {signed_percent(high)}"]
    worst = max(scores, key=lambda language: scores[language].cer)
    cells += [f"{worst} {percent(scores[worst].cer)}"] * (len(table.columns) - len(cells))
    table.add_row(*map(Text, cells))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
