"""Transcripts beside their references as a Markdown table, with the differences marked."""

import re
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein

_OF_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#|]")
NOTHING = "(nothing)"


def markdown_table(samples: Iterable[tuple[str, str]]) -> str:
    """Return a table of references and hypotheses. Words that differ or are missing in the other text are bold."""
    lines = ["| reference | hypothesis |", "| --- | --- |"]
    lines += [f"| {reference} | {hypothesis} |" for reference, hypothesis in map(_marked, samples)]
    return "\n".join(lines)


def _marked(sample: tuple[str, str]) -> tuple[str, str]:
    reference, hypothesis = (text.split() for text in sample)
    found: tuple[list[str], list[str]] = ([], [])
    for operation in Levenshtein.opcodes(reference, hypothesis):
        differs = operation.tag != "equal"
        found[0].extend(_words(reference[operation.src_start : operation.src_end], bold=differs))
        found[1].extend(_words(hypothesis[operation.dest_start : operation.dest_end], bold=differs))
    return " ".join(found[0]) or NOTHING, " ".join(found[1]) or NOTHING


def _words(words: Sequence[str], *, bold: bool) -> list[str]:
    if not words:
        return []
    return [f"**{' '.join(map(_literal, words))}**" if bold else " ".join(map(_literal, words))]


def _literal(text: str) -> str:
    """Escape the characters that Markdown and HTML would interpret."""
    return _OF_MARKDOWN.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")
