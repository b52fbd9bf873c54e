"""Letters that look like others: of another script, or of the same script and for another language."""

from __future__ import annotations

from collections.abc import Mapping

from shards.text.scripts import script_of

# Small letters; each group looks alike in most typefaces. Source for Latin, Cyrillic, Greek and Armenian: Unicode's
# confusables (UTS 39). Those of Arabic differ by language: Arabic yeh and kaf, Persian yeh and keheh.
_GROUPS = (
    *("aаα", "cсϲ", "dԁ", "eе", "hһհ", "iіι", "jјϳ", "kκ", "lӏ", "nո", "oоοօ", "pрρ", "qԛզ", "sѕ", "uυս", "vνѵ", "wԝ"),
    *("xхχ", "yуγ", "əә", "äӓ", "ëё", "ïї", "öӧ", "ɛԑε", "gց"),
    *("يی", "كک"),
)
_GROUP_OF = {letter: group for group in _GROUPS for letter in group if letter.isalpha()}
# Of two letters of one script that look alike, the rare one is a typing error.
_RARE = 0.1


def look_alikes(counts: Mapping[str, int]) -> dict[str, str]:
    """Return the letters of a text that look like another letter, which is the one that the text is written with.

    Args:
        counts: how often each character is in the text.
    """
    scripts: dict[str, int] = {}
    for letter, count in counts.items():
        if script := script_of(letter):
            scripts[script] = scripts.get(script, 0) + count
    if not scripts:
        return {}
    main = max(scripts, key=lambda script: scripts[script])
    found = {}
    for letter, count in counts.items():
        others = [other for other in _GROUP_OF.get(letter, "") if other != letter and script_of(other) == main]
        if script_of(letter) == main:
            others = [other for other in others if count <= _RARE * counts.get(other, 0)]
        if others:
            found[letter] = max(others, key=lambda other: counts.get(other, 0))
    return found
