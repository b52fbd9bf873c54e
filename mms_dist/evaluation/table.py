"""Error rates of many languages, as a table for people and as plain values for programs."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from mms_dist.evaluation.metrics import Scores


def evaluation_table(
    scores: Mapping[str, Scores],
    *,
    title: str = "Evaluation",
    marks: Mapping[str, str] | None = None,
    greedy: Mapping[str, Scores] | None = None,
) -> Table:
    """Make a table with one row per language, best first; with several languages, the last row is their mean.

    `marks` maps languages with a problem to a note shown beside their name. `greedy` has the scores of greedy decoding,
    to compare with. The intervals are 95 % bootstrap
    intervals; S/I/D are substituted, inserted and deleted characters.
    """
    table = Table(
        title=Text(title, "table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_footer=len(scores) > 1,
    )
    mean = _means(scores)
    utterances = sum(each.utterances for each in scores.values())
    table.add_column("language", footer=f"mean of {len(scores)}", no_wrap=True, style="bold")
    table.add_column("utterances", justify="right", footer=f"{utterances:,}")
    table.add_column("CER %", justify="right", footer=_percent(mean["cer"]), style="cyan")
    table.add_column("95 %", justify="right", style="dim", no_wrap=True)
    table.add_column("WER %", justify="right", footer=_percent(mean["wer"]))
    table.add_column("95 %", justify="right", style="dim", no_wrap=True)
    if greedy:
        beside = _means(greedy)
        table.add_column("greedy CER %", justify="right", footer=_percent(beside["cer"]))
        table.add_column("WER %", justify="right", footer=_percent(beside["wer"]))
    table.add_column("S/I/D", justify="right", style="dim", no_wrap=True)
    for language, each in sorted(scores.items(), key=lambda item: (item[1].cer, item[0])):
        edits = each.character_edits
        plain = greedy.get(language) if greedy else None
        compared = (_percent(plain.cer), _percent(plain.wer)) if plain else ("–",) * 2 * bool(greedy)
        table.add_row(
            Text(f"{language} ({marks[language]})" if marks and language in marks else language),
            f"{each.utterances:,}",
            _percent(each.cer),
            f"{_percent(each.cer_low)}–{_percent(each.cer_high)}",
            _percent(each.wer),
            f"{_percent(each.wer_low)}–{_percent(each.wer_high)}",
            *compared,
            f"{edits.substitutions}/{edits.insertions}/{edits.deletions}",
        )
    return table


def evaluation_json(scores: Mapping[str, Scores], greedy: Mapping[str, Scores] | None = None) -> dict[str, Any]:
    """The same results as plain values: `{"languages": {code: {...}}, "mean": {"cer", "wer"}}`.

    `mean` is the unweighted mean over languages, so that a language with a lot of test data does not dominate. The
    scores of greedy decoding are `languages.<code>.greedy` and `greedy_mean`.
    """
    languages = {language: each.as_dict() for language, each in sorted(scores.items())}
    for language, plain in (greedy or {}).items():
        languages[language]["greedy"] = plain.as_dict()
    return {"languages": languages, "mean": _means(scores)} | ({"greedy_mean": _means(greedy)} if greedy else {})


def _means(scores: Mapping[str, Scores]) -> dict[str, float | None]:
    if not scores:
        return {"cer": None, "wer": None}
    return {
        "cer": sum(each.cer for each in scores.values()) / len(scores),
        "wer": sum(each.wer for each in scores.values()) / len(scores),
    }


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"
