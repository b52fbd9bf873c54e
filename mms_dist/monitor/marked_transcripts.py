"""Transcripts beside their references as a Markdown table, with the differences marked."""

import re
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

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
    words: tuple[list[tuple[bool, str]], list[tuple[bool, str]]] = ([], [])
    for operation in Levenshtein.opcodes(reference, hypothesis):
        differs = operation.tag != "equal"
        words[0].extend((differs, word) for word in reference[operation.src_start : operation.src_end])
        words[1].extend((differs, word) for word in hypothesis[operation.dest_start : operation.dest_end])
    return _cell(words[0]), _cell(words[1])


def _cell(words: Iterable[tuple[bool, str]]) -> str:
    """Join words, given whether each one differs."""
    found = []
    for differs, group in groupby(words, key=itemgetter(0)):
        text = " ".join(_literal(word) for _, word in group)
        found.append(f"**{text}**" if differs else text)
    return " ".join(found) or NOTHING


def _literal(text: str) -> str:
    """Escape the characters that Markdown and HTML would interpret."""
    return _OF_MARKDOWN.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")
