"""A comparison of two models, as a table for people."""

from rich import box
from rich.table import Table
from rich.text import Text

from mms_dist.evaluation.comparison import Comparison, p_values
from mms_dist.evaluation.paired import Change, Paired, mean_change

CERTAIN = 0.05


def comparison_table(found: Comparison) -> Table:
    """Make a table with one row per language, those that gain most first; the last row is the mean of several."""
    several = len(found.languages) > 1
    table = Table(
        title=Text(f"compared with {found.other}: this minus the other, 95 % paired intervals", "table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_footer=several,
    )
    every = found.languages.values()
    mean = found.mean
    change = _cells(mean, [each.paired for each in every], "cer") if mean else ("",) * 3
    words = _cells(mean, [each.paired for each in every], "wer") if mean else ("",) * 3
    count = max(1, len(every))
    table.add_column("language", footer=f"mean of {len(every)}", no_wrap=True, style="bold")
    table.add_column("CER %", justify="right", footer=_percent(sum(each.ours.cer for each in every) / count))
    table.add_column("other", justify="right", footer=_percent(sum(each.theirs.cer for each in every) / count))
    for name, footer in zip(("change", "95 %", "p"), change, strict=True):
        table.add_column(name, justify="right", footer=footer, no_wrap=True, style="cyan" if name == "change" else "")
    table.add_column("WER %", justify="right", footer=_percent(sum(each.ours.wer for each in every) / count))
    table.add_column("other", justify="right", footer=_percent(sum(each.theirs.wer for each in every) / count))
    for name, footer in zip(("change", "95 %", "p"), words, strict=True):
        table.add_column(name, justify="right", footer=footer, no_wrap=True)
    table.add_column("same text", justify="right")
    for code, each in sorted(found.languages.items(), key=lambda item: (item[1].paired.cer.change, item[0])):
        table.add_row(
            code,
            _percent(each.ours.cer),
            _percent(each.theirs.cer),
            *_cells(each.change, [each.paired], "cer"),
            _percent(each.ours.wer),
            _percent(each.theirs.wer),
            *_cells(each.change, [each.paired], "wer"),
            f"{each.same_text:,} of {each.ours.utterances:,}",
        )
    return table


def compared_conditions_table(found: Comparison) -> Table:
    """Make a table with one row per condition: the mean over the languages that both were scored in under it."""
    table = Table(
        title=Text(f"compared with {found.other} under conditions", "table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("condition", no_wrap=True, style="bold")
    for rate in ("CER", "WER"):
        table.add_column(f"{rate} %", justify="right")
        table.add_column("other", justify="right")
        for name in ("change", "95 %", "p"):
            table.add_column(
                name, justify="right", no_wrap=True, style="cyan" if (rate, name) == ("CER", "change") else ""
            )
    for label, languages in found.conditions.items():
        every = list(languages.values())
        paired = [each.paired for each in every]
        cells = []
        for rate in ("cer", "wer"):
            for side in ("ours", "theirs"):
                cells.append(_percent(sum(getattr(getattr(each, side), rate) for each in every) / len(every)))
            cells += _cells(mean_change(paired), paired, rate)
        table.add_row(Text(label), *cells)
    return table


def verdict(found: Comparison) -> str:
    """Say in a sentence which model is better."""
    mean = found.mean
    if mean is None:
        return f"no language could be compared with {found.other}"
    p = p_values([each.paired for each in found.languages.values()])["cer"]
    if p > CERTAIN:
        return f"no difference in CER to {found.other} beyond chance (p = {p:.2g})"
    word = "lower" if mean.cer < 0 else "higher"
    return f"CER {100 * abs(mean.cer):.1f} points {word} than that of {found.other} (p {_p_text(p)})"


def _cells(change: Change, languages: list[Paired], rate: str) -> tuple[str, str, str]:
    low, high = getattr(change, f"{rate}_low"), getattr(change, f"{rate}_high")
    interval = f"{100 * low:+.1f} … {100 * high:+.1f}"
    return f"{100 * getattr(change, rate):+.1f}", interval, _p_text(p_values(languages)[rate])


def _p_text(p: float) -> str:
    return "< 0.002" if p < 0.002 else f"{p:.2g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
