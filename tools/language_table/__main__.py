#!/usr/bin/env python3
"""Make `shards/languages.tsv`, the table of languages that the package ships.

    pip install python-iso639 langcodes language-data
    python -m tools.language_table

Beside this file lie the codes of MMS's adapters and what the packages do not know (`curated.tsv`). Run it again when a
newer python-iso639 has new codes. The table is sorted, so that a change can be read.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import iso639
import langcodes

HERE = Path(__file__).resolve().parent
TABLE = HERE.parents[1] / "shards" / "languages.tsv"

# Codes that MMS has no adapter for, written as it would write them.
MORE_SCRIPTS = ["cmn-script_traditional"]

# ISO 15924 codes of the scripts in MMS's codes.
SCRIPTS = {
    "arabic": "Arab",
    "cyrillic": "Cyrl",
    "devanagari": "Deva",
    "ethiopic": "Ethi",
    "khmer": "Khmr",
    "latin": "Latn",
    "simplified": "Hans",
    "syllabics": "Cans",
    "telugu": "Telu",
    "tifinagh": "Tfng",
    "traditional": "Hant",
}
DIALECTS = {
    "bachajon": "Bachajón",
    "blowowest": "Blowo West",
    "central": "Central",
    "centralveracruz": "Central Veracruz",
    "chamula": "Chamula",
    "chenalho": "Chenalhó",
    "east": "East",
    "eastern": "Eastern",
    "gweetaawueast": "Gweetaawu East",
    "north": "North",
    "northern": "Northern",
    "sanantonio": "San Antonio",
    "sangasparchajul": "San Gaspar Chajul",
    "sanjeronimo": "San Jerónimo",
    "sanjuancotzal": "San Juan Cotzal",
    "sanmateoixtatan": "San Mateo Ixtatán",
    "sansebastiancoatan": "San Sebastián Coatán",
    "santamariadejesus": "Santa María de Jesús",
    "santamarianebaj": "Santa María Nebaj",
    "santodomingoxenacoj": "Santo Domingo Xenacoj",
    "southcentral": "South Central",
    "southern": "Southern",
    "sursilv": "Sursilvan",
    "tenejapa": "Tenejapa",
    "vallader": "Vallader",
    "western": "Western",
    "westernpotosino": "Western Potosino",
    "yepocapa": "Yepocapa",
}
# Languages of several adapters in which one script is by far the most common: a code or name without a script means it.
# All others (Serbian, Uzbek, Northern Kurdish …) are ambiguous.
USUAL = ("bcc-script_arabic", "rif-script_latin", "tuk-script_latin", "uig-script_arabic", "urd-script_arabic")

HEADER = """\
# Languages and how corpora write them. Made by `python -m tools.language_table`; do not edit it by hand.
#
# Codes: those of MMS's {adapters:,} adapters for speech recognition ({bases:,} languages), as the list of Meta's public
# demo gives them (https://huggingface.co/spaces/mms-meta/MMS, data/asr/all_langs.tsv), and all others of ISO 639-3. The
# card of facebook/mms-1b-all counts 1,162 languages; neither its adapters nor Meta's table of the languages that MMS
# recognises (https://dl.fbaipublicfiles.com/mms/misc/language_coverage_mms.html) has one that is not here.
# Names, macrolanguages, two-letter codes: ISO 639-3 (SIL International, https://iso639-3.sil.org), by python-iso639
# {iso639}. Scripts: those in MMS's codes; for others what CLDR holds likely (langcodes {langcodes}), and
# tools/language_table/scripts.tsv.
# Other spellings: these, English names of CLDR, and tools/language_table/curated.tsv.
# mms: the models with an adapter of this name, facebook/mms-1b-all and facebook/mms-1b-fl102.
"""


@dataclass(slots=True)
class Row:
    """A line of the table."""

    code: str
    name: str
    script: str
    macrolanguage: str
    mms: str = ""
    aliases: set[str] = field(default_factory=set)

    @property
    def base(self) -> str:
        """The code without script or dialect."""
        return self.code.partition("-")[0]


def main() -> int:
    """Write the table."""
    entries = {entry.part3: entry for entry in iso639.ALL_LANGUAGES if entry.status == "A"}
    adapters = {model: (HERE / f"{model}_codes.txt").read_text().split() for model in ("all", "fl102")}
    of_mms = {code.partition("-")[0] for code in adapters["all"]}
    codes = sorted({*adapters["all"], *MORE_SCRIPTS, *entries})
    rows = {code: _row(code, entries[code.partition("-")[0]], adapters, of_mms) for code in codes}
    curated = _listed("curated.tsv")
    _add_spellings(rows, entries, {key.casefold() for key in curated})
    for key, stands_for in curated.items():
        for code in stands_for:
            rows[code].aliases.add(key)
    header = HEADER.format(
        adapters=len(adapters["all"]),
        bases=len(of_mms),
        iso639=importlib.metadata.version("python-iso639"),
        langcodes=importlib.metadata.version("langcodes"),
    )
    lines = [header + "\t".join(("code", "name", "script", "macrolanguage", "mms", "aliases"))]
    for row in rows.values():
        aliases = sorted(row.aliases - {row.name, row.code})
        lines.append("\t".join((row.code, row.name, row.script, row.macrolanguage, row.mms, " | ".join(aliases))))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TABLE}: {len(rows):,} languages, {sum(bool(row.mms) for row in rows.values()):,} of MMS")
    return 0


def _row(code: str, entry: Any, adapters: dict[str, list[str]], of_mms: set[str]) -> Row:
    kind, _, variant = code.partition("-")[2].partition("_")
    name = _plain(entry.name)
    if kind == "script":
        name = f"{name} ({variant.capitalize()})"
    elif kind == "dialect":
        name = f"{name} ({DIALECTS[variant]})"
    script = SCRIPTS[variant] if kind == "script" else _usual_script(entry.part3, of_mms=entry.part3 in of_mms)
    models = [model for model, known in adapters.items() if code in known]
    return Row(code, name, script, entry.macrolanguage or "", " ".join(models))


def _add_spellings(rows: dict[str, Row], entries: dict[str, Any], settled: set[str]) -> None:
    """Add names and older codes to the rows that they stand for: MMS's, if it has any, else ISO's own."""
    by_base: dict[str, list[Row]] = defaultdict(list)
    members: dict[str, list[Row]] = defaultdict(list)
    for row in rows.values():
        if row.mms:
            by_base[row.base].append(row)
            members[row.macrolanguage].append(row)
    for code, entry in entries.items():
        own = [row for row in by_base[code] if row.code in USUAL] or by_base[code]
        # A single member may be a minor one, so it stands for the group only where the group has a two-letter code.
        of_group = members[code] if entry.scope == "M" and (entry.part1 or len(members[code]) > 1) else []
        targets = own or of_group or [rows[code]]
        names = {
            _without_scope(entry.name),
            _plain(entry.name),
            langcodes.Language.get(code, normalize=False).language_name(),
        }
        for other in entry.other_names or ():
            names |= {_without_scope(other.print), _without_scope(other.inverted), _plain(other.print)}
        # A name of two or three letters, such as En or Ron, would be taken for a code.
        spellings = {name for name in names if len(name) > 3 and not name.startswith("Unknown language")}
        spellings |= {short for short in (entry.part1, entry.part2b) if short and short != code}
        if targets != [rows[code]] and rows[code].code not in {row.code for row in targets}:
            spellings.add(code)  # for xxx_Xxxx; alone, a code of ISO 639-3 stands for itself
        for spelling in spellings:
            if spelling.casefold() not in settled:
                for row in targets:
                    row.aliases.add(spelling)


def _usual_script(code: str, *, of_mms: bool) -> str:
    if code in _SCRIPT_IN_USE:
        return _SCRIPT_IN_USE[code]
    likely = langcodes.Language.get(code).maximize()
    if likely.territory != "US" or code == "eng":
        return likely.script or ""
    return "Latn" if of_mms else ""  # CLDR takes what it does not know for the English of the United States


def _without_scope(name: str) -> str:
    """Return a name without ISO's remark on what kind of entry it is."""
    return re.sub(r" \((macrolanguage|individual language)\)", "", name)


def _plain(name: str) -> str:
    """Return a name without a remark in brackets: `Modern Greek (1453-)`, `Malay (individual language)`."""
    return re.sub(r"\s*\([^)]*\)$", "", name)


def _listed(name: str) -> dict[str, list[str]]:
    """Return the keys of a file beside this one, each with its codes."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {key: codes.split() for key, codes in pairs}


_SCRIPT_IN_USE = {code: script.strip("?") for script, codes in _listed("scripts.tsv").items() for code in codes}


if __name__ == "__main__":
    sys.exit(main())
