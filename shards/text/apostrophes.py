"""Tell apostrophes that are letters from quotation marks.

In every language, an apostrophe between two letters belongs to the word. At the edge of a word, the language's rule
decides (`apostrophes` in text_rules.yaml). Where an apostrophe may be either, an opening and a closing one that can
only match each other are removed as quotation marks, and all others are kept: keeping a quotation mark does less harm
than losing a letter.
"""

from __future__ import annotations

import re

from shards.text.characters import LETTER_APOSTROPHES, TYPED_APOSTROPHES, is_letter

APOSTROPHE, LETTER = "'", "ʼ"
# By rule: whether an apostrophe can be a letter (at the start of a word, at its end).
_EDGES = {"start": (True, False), "end": (False, True), "unpaired": (True, True)}
_INNER = {"space": " ", "drop": ""}

_LOW_QUOTE = "‚"
_FOLD_TYPED = dict.fromkeys(map(ord, TYPED_APOSTROPHES), APOSTROPHE)
_FOLD_LETTERS = dict.fromkeys(map(ord, LETTER_APOSTROPHES), LETTER)
_DOUBLED = re.compile(r"(?<![\w'])''(?!')(.+?)(?<!')''(?![\w'])")
_OPENS, _CLOSES = re.compile(r"(?<!\w)‘(?=\w)"), re.compile(r"(?<=[^\s‘’])’(?!\w)")


def fold(text: str, rule: str) -> str:
    """Replace all apostrophe characters by '; with the rule `unpaired`, keep ʼ, which Unicode defines as a letter.

    Also remove the quotation marks ‘ ’ where the text's apostrophes have another shape.
    """
    if "‘" in text and (rule in _EDGES or rule == "anywhere"):
        text = _without_curly_quotes(text)
    text = text.translate(_FOLD_TYPED).translate(_FOLD_LETTERS)
    return text if rule == "unpaired" else text.replace(LETTER, APOSTROPHE)


def _without_curly_quotes(text: str) -> str:
    """Remove the only ‘ that starts a word and the only ’ that ends one, if other apostrophes have another shape."""
    opens, closes = list(_OPENS.finditer(text)), list(_CLOSES.finditer(text))
    if len(opens) != 1 or len(closes) != 1 or opens[0].end() > closes[0].start():
        return text
    first, last = opens[0].start(), closes[0].start()
    others = text[:first] + text[first + 1 : last] + text[last + 1 :]
    if "’" in others or not any(sign in others for sign in TYPED_APOSTROPHES + LETTER_APOSTROPHES + "ʻ"):
        return text
    return f"{text[:first]} {text[first + 1 : last]} {text[last + 1 :]}"


def keep_letters(text: str, rule: str, before: str = "", *, often_first: bool = False) -> str:
    """Keep the apostrophes that are letters by `rule`, and replace each of the others with a space.

    Args:
        before: an apostrophe can start a word only before one of these letters; empty: before any letter.
        often_first: whether words often begin with an apostrophe, so that the nearest one before a closing quotation
            mark need not be the opening one.
    """
    if LETTER in text:
        text = _resolve_letter_signs(text)
    if APOSTROPHE not in text:
        return text
    if rule in _EDGES:
        text = _DOUBLED.sub(r'"\1"', text)
    inner, edges = _places(text)
    if rule in _EDGES:
        gone = _quotation_marks(text, edges, *_EDGES[rule], before, often_first)
    elif rule == "anywhere":
        gone = _closed_quotations(text, edges)
    else:
        gone = {place for place, _ in edges}
    signs = list(text)
    for place in gone:
        signs[place] = " "
    if rule in _INNER:
        for place in inner:
            signs[place] = _INNER[rule]
    return "".join(signs)


def _resolve_letter_signs(text: str) -> str:
    """Replace ʼ with ' between letters, and with a space where no letter is next to it."""
    signs = list(text)
    for place, sign in enumerate(text):
        if sign == LETTER:
            touches = _touches(text, place)
            signs[place] = APOSTROPHE if all(touches) else sign if any(touches) else " "
    return "".join(signs)


def _touches(text: str, place: int) -> tuple[bool, bool]:
    """Return whether a letter precedes `place`, and whether one follows it."""
    before = place > 0 and text[place - 1] != LETTER and is_letter(text[place - 1])
    after = place + 1 < len(text) and text[place + 1] != LETTER and is_letter(text[place + 1])
    return before, after


def _places(text: str) -> tuple[list[int], list[tuple[int, tuple[bool, bool]]]]:
    """Return the positions of apostrophes between letters, and of all others with the sides that touch a letter."""
    inner, edges = [], []
    for found in re.finditer(f"[{APOSTROPHE}{_LOW_QUOTE}]", text):
        touches = _touches(text, found.start())
        if found[0] == APOSTROPHE and all(touches):
            inner.append(found.start())
        elif found[0] == APOSTROPHE or touches == (False, True):
            edges.append((found.start(), touches))
    return inner, edges


def _closed_quotations(text: str, edges: list[tuple[int, tuple[bool, bool]]]) -> set[int]:
    """Return the positions of quotation marks: apostrophes that touch no letter, and the openings they close.

    For languages in which an apostrophe at either edge of a word is a letter.
    """
    gone: set[int] = set()
    openings: list[int] = []
    for place, touches in edges:
        if touches == (False, True):
            openings.append(place)
        elif touches == (False, False):
            gone.add(place)
            if place > 0 and not text[place - 1].isspace():
                gone.update(_opening_of(text, openings))
                openings = []
    return gone


def _opening_of(text: str, openings: list[int]) -> list[int]:
    """Return the opening that a closing quotation mark belongs to: the only candidate, or the last after a colon."""
    after_colon = [place for place in openings if text[:place].rstrip().endswith(":")]
    return openings if len(openings) == 1 else after_colon[-1:]


def _quotation_marks(
    text: str,
    edges: list[tuple[int, tuple[bool, bool]]],
    at_start: bool,
    at_end: bool,
    before: str,
    often_first: bool,
) -> set[int]:
    """Return the positions of quotation marks: apostrophes that cannot be letters, or match exactly one other.

    An apostrophe before a single letter, as in 'n po', is not a quotation mark.
    """
    gone: set[int] = set()
    opening: int | None = None
    openings: list[int] = []
    closings: list[int] = []
    for place, touches in [*edges, (len(text), (False, True))]:
        if touches == (True, False) and at_end:
            closings.append(place)
        elif touches[0] or (not touches[1] and place > 0 and not text[place - 1].isspace()):
            # A closing mark: after a full stop or another apostrophe, or where no word can end in an apostrophe.
            gone.add(place)
            if often_first and gone.isdisjoint(openings):
                gone.update(_opening_of(text, openings))
            elif opening is not None:
                gone.add(opening)
            opening, openings, closings = None, [], []
        else:
            if opening is not None and len(closings) == 1:
                gone.update((opening, *closings))
                opening, closings = None, []
            if place == len(text):
                break
            elided = at_start and at_end and touches[1] and text[place + 2 : place + 3].isspace()
            letter = elided or (before and touches[1] and text[place + 1] in before)
            if letter and text[place] == APOSTROPHE:
                continue
            openings.append(place)
            certain = not touches[1] or not at_start or bool(before) or text[place] == _LOW_QUOTE
            if certain:
                gone.add(place)
            # If two apostrophes open a word, the outer one is the quotation mark.
            if closings or opening not in gone or certain:
                opening, closings = place, []
    return gone
