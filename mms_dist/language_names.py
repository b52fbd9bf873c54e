"""Names of languages for people, and their tags for browsers."""

from shards.language_table import language_table

UNDETERMINED = "und"
DEPRECATED = frozenset({"in", "iw", "ji", "jw", "mo", "sh"})
"""Tags that BCP 47 has replaced by others."""


def language_name(code: str) -> str:
    """Return the English name of a language, such as `Romanian`; empty if the code is not known."""
    known = language_table().by_code.get(code)
    return known.name if known else ""


def language_tag(code: str) -> str:
    """Return the BCP 47 tag of a language without its script: the two-letter code where there is one.

    With it a browser chooses glyphs and voices.
    """
    known = language_table().by_code.get(code)
    if known is None:
        return UNDETERMINED
    short = {alias for alias in known.aliases if len(alias) == 2 and alias.islower()} - DEPRECATED
    return short.pop() if len(short) == 1 else UNDETERMINED if short else known.base
