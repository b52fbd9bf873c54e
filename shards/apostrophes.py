"""Which apostrophes are letters, and which are quotation marks.

Between two letters an apostrophe belongs to the word in every language. At a word's edge the rule of the language
decides (`apostrophes` in text_rules.yaml). Where it can be either, an opening and a closing one that can only belong
to each other are quotation marks, and every other is kept: a quotation mark too many is a smaller fault than a letter
too few.
"""

from __future__ import annotations

import re

from shards.characters import LETTER_APOSTROPHES, TYPED_APOSTROPHES, is_letter

APOSTROPHE, LETTER = "'", "ʼ"
# Where a rule lets an apostrophe be a letter at a word's edge: at its start, at its end.
_EDGES = {"start": (True, False), "end": (False, True), "unpaired": (True, True)}
_INNER = {"space": " ", "drop": ""}

_LOW_QUOTE = "‚"
_FOLD_TYPED = dict.fromkeys(map(ord, TYPED_APOSTROPHES), APOSTROPHE)
_FOLD_LETTERS = dict.fromkeys(map(ord, LETTER_APOSTROPHES), LETTER)
_DOUBLED = re.compile(r"(?<![\w'])''(?!')(.+?)(?<!')''(?![\w'])")
_OPENS, _CLOSES = re.compile(r"(?<!\w)‘(?=\w)"), re.compile(r"(?<=[^\s‘’])’(?!\w)")


def fold(text: str, rule: str) -> str:
    """`text` with one sign for all apostrophes; ʼ, a letter by Unicode, keeps its own where ' may be a quotation mark.

    Quotation marks ‘ ’ that are told from the text's apostrophes by their shape are gone.
    """
    if "‘" in text and (rule in _EDGES or rule == "anywhere"):
        text = _without_curly_quotes(text)
    text = text.translate(_FOLD_TYPED).translate(_FOLD_LETTERS)
    return text if rule == "unpaired" else text.replace(LETTER, APOSTROPHE)


def _without_curly_quotes(text: str) -> str:
    """`text` without its only ‘ at a word's start and only ’ at a word's end, if its other apostrophes are not such."""
    opens, closes = list(_OPENS.finditer(text)), list(_CLOSES.finditer(text))
    if len(opens) != 1 or len(closes) != 1 or opens[0].end() > closes[0].start():
        return text
    first, last = opens[0].start(), closes[0].start()
    others = text[:first] + text[first + 1 : last] + text[last + 1 :]
    if "’" in others or not any(sign in others for sign in TYPED_APOSTROPHES + LETTER_APOSTROPHES + "ʻ"):
        return text
    return f"{text[:first]} {text[first + 1 : last]} {text[last + 1 :]}"


def settle(text: str, rule: str, before: str = "", *, often_first: bool = False) -> str:
    """`text` with the apostrophes that are letters by `rule`, and a space for each of the others.

    Args:
        before: the letters before which alone an apostrophe starts a word; empty for any.
        often_first: whether it begins so many words that the nearest one is not the quotation mark of a closing one.
    """
    if LETTER in text:
        text = _settle_letters(text)
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


def _settle_letters(text: str) -> str:
    """Between letters ʼ is written as any apostrophe; without a letter beside it, it is none."""
    signs = list(text)
    for place, sign in enumerate(text):
        if sign == LETTER:
            touches = _touches(text, place)
            signs[place] = APOSTROPHE if all(touches) else sign if any(touches) else " "
    return "".join(signs)


def _touches(text: str, place: int) -> tuple[bool, bool]:
    """Whether there is a letter before, and behind."""
    before = place > 0 and text[place - 1] != LETTER and is_letter(text[place - 1])
    behind = place + 1 < len(text) and text[place + 1] != LETTER and is_letter(text[place + 1])
    return before, behind


def _places(text: str) -> tuple[list[int], list[tuple[int, tuple[bool, bool]]]]:
    """Where apostrophes stand between letters, and where else, with the sides on which a letter is."""
    inner, edges = [], []
    for found in re.finditer(f"[{APOSTROPHE}{_LOW_QUOTE}]", text):
        touches = _touches(text, found.start())
        if found[0] == APOSTROPHE and all(touches):
            inner.append(found.start())
        elif found[0] == APOSTROPHE or touches == (False, True):
            edges.append((found.start(), touches))
    return inner, edges


def _closed_quotations(text: str, edges: list[tuple[int, tuple[bool, bool]]]) -> set[int]:
    """The places of those with no letter beside them, and of what they close: a letter is at either edge of words."""
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
    """Of those that may be letters, the one that a quotation mark closes: the only one, or the last after a colon."""
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
    """The places of those that are quotation marks: they can not be letters, or they pair up with one other only.

    Before one letter, as in 'n po', it is none.
    """
    gone: set[int] = set()
    opening: int | None = None
    openings: list[int] = []
    closings: list[int] = []
    for place, touches in [*edges, (len(text), (False, True))]:
        if touches == (True, False) and at_end:
            closings.append(place)
        elif touches[0] or (not touches[1] and place > 0 and not text[place - 1].isspace()):
            # After a letter that can not end in one, behind a full stop or another apostrophe: it closes.
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
            # The outer of two that open a word is the quotation mark.
            if closings or opening not in gone or certain:
                opening, closings = place, []
    return gone
