"""Transcripts beside their references as a Markdown table, with the differences marked."""

import re
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein

_OF_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#|]")
_LETTERS = re.compile(r".[\u0300-\u036f]*", re.DOTALL)
_BOLD = "\ue000"  # stands for Markdown's two asterisks until runs are joined; texts have no private characters
NOTHING = "(nothing)"


def markdown_table(samples: Iterable[tuple[str, str]]) -> str:
    """Return a table of references and hypotheses. Characters that differ, or that the other text lacks, are bold."""
    lines = ["| reference | hypothesis |", "| --- | --- |"]
    lines += [f"| {reference} | {hypothesis} |" for reference, hypothesis in map(_marked, samples)]
    return "\n".join(lines)


def _marked(sample: tuple[str, str]) -> tuple[str, str]:
    reference, hypothesis = (_LETTERS.findall(" ".join(text.split())) for text in sample)
    found: tuple[list[str], list[str]] = ([], [])
    for operation in Levenshtein.opcodes(reference, hypothesis):
        bold = operation.tag != "equal"
        found[0].append(_run(reference[operation.src_start : operation.src_end], bold=bold))
        found[1].append(_run(hypothesis[operation.dest_start : operation.dest_end], bold=bold))
    return _cell(found[0]), _cell(found[1])


def _run(letters: Sequence[str], *, bold: bool) -> str:
    """Return letters as Markdown, which takes no spaces at the ends of what is bold."""
    if not bold:
        return _literal("".join(letters))
    words = "".join(letters).split(" ")
    return " ".join(f"{_BOLD}{_literal(word)}{_BOLD}" if word else "" for word in words)


def _cell(runs: Iterable[str]) -> str:
    return "".join(runs).replace(_BOLD * 2, "").replace(_BOLD, "**").strip() or NOTHING


def _literal(text: str) -> str:
    """Escape the characters that Markdown and HTML would interpret."""
    return _OF_MARKDOWN.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")
