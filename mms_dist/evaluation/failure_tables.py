"""Where languages fail, for people: groups of utterances with more errors than the rest, and confusions."""

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from mms_dist.evaluation.failing_groups import Grouped, group_rows, standing_out
from mms_dist.evaluation.text_edits import Confusion, Confusions

MOST_STANDING_OUT, MOST_ROWS = 5, 20
CONFUSIONS_IN_A_LINE, LANGUAGES_WITH_CONFUSIONS = 6, 5
NOTHING, SPACE = "∅", "␣"


def group_table(languages: Mapping[str, Grouped], kind: str) -> Table | None:
    """Make a table of the groups of one kind; None if no language has several."""
    rows = group_rows(languages, kind)
    if not rows:
        return None
    several = any(len(row.languages) > 1 for row in rows)
    more = f", {MOST_ROWS} of {len(rows):,} groups, the worst first" if len(rows) > MOST_ROWS else ""
    table = _table(f"by {kind}{more}")
    table.add_column(kind, style="bold", overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column("languages" if several else "language")
    table.add_column("utterances", justify="right")
    table.add_column("minutes", justify="right")
    table.add_column("CER %", justify="right", style="cyan")
    table.add_column("against all", justify="right")
    table.add_column("WER %", justify="right")
    if several:
        table.add_column("worst")
    for row in rows[:MOST_ROWS]:
        single = len(row.languages) == 1
        worst = [] if not several else ["" if single else f"{row.worst} {_percent(row.worst_cer)}"]
        table.add_row(
            Text(row.name),
            row.languages[0] if single else f"{len(row.languages):,}",
            f"{row.utterances:,}",
            f"{row.seconds / 60:,.1f}",
            _percent(row.cer),
            _signed(row.change),
            _percent(row.wer),
            *worst,
        )
    return table


def confusion_table(languages: Mapping[str, Confusions]) -> Table:
    """Make a table of the most frequent confusions of characters and of words of every language."""
    table = _table(f"most frequent confusions: said → written ({NOTHING} nothing, {SPACE} space)")
    table.add_column("language", style="bold", no_wrap=True)
    table.add_column("characters", ratio=1)
    table.add_column("words", ratio=1)
    for code, found in sorted(languages.items()):
        table.add_row(code, Text(confusion_text(found.characters)), Text(confusion_text(found.words)))
    return table


def group_lines(languages: Mapping[str, Grouped]) -> Iterator[str]:
    """Say in a few lines which groups stand out."""
    found = standing_out(languages)
    if found:
        yield "groups with clearly more errors (tables: --by speaker,duration,source,tag):"
    for each in found[:MOST_STANDING_OUT]:
        yield (
            f"  {each.language}  {each.kind} {each.name}: CER {_percent(each.scores.cer)} %, {_signed(each.change)} "
            f"against all of it, in {each.scores.utterances:,} utterances"
        )
    if len(found) > MOST_STANDING_OUT:
        yield f"  and {len(found) - MOST_STANDING_OUT:,} more"


def confusion_lines(languages: Mapping[str, Confusions]) -> Iterator[str]:
    """Say in a line for each of the first languages what is confused."""
    confused = {code: found.characters for code, found in languages.items() if found.characters}
    if confused:
        yield f"confusions, said → written ({NOTHING} nothing, {SPACE} space; more: --confusions):"
    for code in list(confused)[:LANGUAGES_WITH_CONFUSIONS]:
        yield f"  {code}  {confusion_text(confused[code][:CONFUSIONS_IN_A_LINE])}"


def confusion_text(confusions: Sequence[Confusion]) -> str:
    """Write confusions in a line: `o→a 12, ␣→∅ 9`."""
    return ", ".join(f"{_shown(each.reference)}→{_shown(each.hypothesis)} {each.count:,}" for each in confusions)


def _shown(text: str) -> str:
    return NOTHING if not text else text.replace(" ", SPACE)


def _table(title: str) -> Table:
    return Table(
        title=Text(title, "table.title"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), expand=False
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _signed(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"
