"""Tags that describe a raw transcript, so that an evaluation can pick the utterances that have them."""

from __future__ import annotations

import re

from shards.text.numbers import has_numbers
from shards.text.scripts import is_mixed, scripts_in

_DIGITS = re.compile(r"\d+")


def tags_of_text(raw: str) -> dict[str, str]:
    """Return the tags of a transcript.

    `numbers`: the numbers in it, separated by spaces. `mixed_script`: its scripts, the most frequent first, if they are
    several.
    """
    tags = {}
    if has_numbers(raw):
        tags["numbers"] = " ".join(_DIGITS.findall(raw)) or "numerals"
    scripts = scripts_in(raw)
    if is_mixed(scripts):
        tags["mixed_script"] = " ".join(sorted(scripts, key=lambda script: (-scripts[script], script)))
    return tags
