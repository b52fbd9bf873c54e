"""Write text of any script in Latin letters, by uroman (Hermjakob et al. 2018, https://aclanthology.org/P18-4003)."""

from __future__ import annotations

import functools
from typing import Any

from shards.errors import ShardsError


def romanised(text: str, language: str) -> str:
    """Return `text` in lower-case Latin letters. Punctuation and spaces stay.

    Args:
        language: ISO 639-3 code; a few languages read a letter in their own way.

    Raises:
        ShardsError: uroman is not installed.
    """
    return str(_uroman().romanize_string(text, lcode=language)).lower()


@functools.cache
def _uroman() -> Any:
    try:
        import uroman
    except ImportError as error:
        raise ShardsError(
            "the text rule 'romanise' needs uroman, which is not installed", fix="pip install 'mms-dist[romanise]'"
        ) from error
    return uroman.Uroman()
