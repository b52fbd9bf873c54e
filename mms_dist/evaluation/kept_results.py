"""What an evaluation keeps of an earlier one of the same split: results that it was not asked for and that still hold.

Comparisons and conditions take long, and a later `mms-dist eval` without them would lose them. They are kept if every
language was scored with the same checkpoint, decoder and rules and has the same scores to the last bit: then the
earlier results are those that would be found again. What is not kept is named.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mms_dist.files import read_file

COMPARISONS, CONDITIONS, NOISE = "comparisons", "conditions", "noise"
_OPTIONAL = ("conditions", "by", "confusions", "unreadable", "quarantined")
"""Entries of a language that do not say what was scored."""
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

_Result = tuple[str | None, str | None]
"""Another model, or None for the run itself, and a condition, or None for the comparison as a whole."""


def keep_results(path: Path, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Add the comparisons and conditions of the evaluation in a file to those of a new one.

    Args:
        path: of the earlier evaluation, SPLIT.json; it may be missing.
        values: content of the new one.

    Returns:
        The content to store, and lines for people: what was kept, and what no longer holds.
    """
    if not path.exists():
        return values, []
    try:
        earlier = json.loads(read_file(path))
        before = _results(earlier)
        noise = earlier.get(NOISE)
        is_same = _scored(earlier["languages"]) == _scored(values["languages"]) and all(
            earlier.get(name) == values.get(name) for name in ("base", "shards")
        )
        # The noise of another folder is another condition, though it has the same name.
        is_other_noise = NOISE in values and noise != values[NOISE]
        merged = _merged(values, _without_noise(earlier) if is_other_noise else earlier) if is_same else values
    except (OSError, *_MALFORMED) as error:
        return values, [f"{path} could not be read as an earlier evaluation ({error}), so nothing of it was kept"]
    asked, after = _results(values), _results(merged)
    notes = []
    if kept := [each for each in before if each in after and each not in asked]:
        notes.append(f"kept from before in {path}: {_named(kept)}")
    lost = [each for each in before if each not in after]
    of_noise = [each for each in lost if is_same and is_other_noise and _is_noise(each[1])]
    if of_noise:
        notes.append(f"no longer in {path}, as it was of other noise ({noise}): {_named(of_noise)}; ask for it again")
    if others := [each for each in lost if each not in of_noise]:
        notes.append(f"no longer in {path}, as it was of other scores: {_named(others)}; ask for it again")
    return merged, notes


def only_scored_before(path: Path, failed: Collection[str]) -> list[str]:
    """Return the languages that failed now and that an earlier evaluation has scores of, sorted.

    Args:
        path: of the earlier evaluation, SPLIT.json; it may be missing, and an unreadable one has no scores.
    """
    try:
        return sorted(set(failed) & set(json.loads(read_file(path))["languages"]))
    except (OSError, *_MALFORMED):
        return []


def _results(evaluation: Mapping[str, Any]) -> list[_Result]:
    """List the comparisons, the conditions, and the conditions of each comparison."""
    comparisons = evaluation.get(COMPARISONS, ())
    return [
        *((str(each["other"]), None) for each in comparisons),
        *((None, label) for label in evaluation.get(CONDITIONS, {})),
        *((str(each["other"]), label) for each in comparisons for label in each.get(CONDITIONS, {})),
    ]


def _named(results: Iterable[_Result]) -> str:
    """Name results for people; a comparison as a whole includes its conditions."""
    results = list(results)
    whole = [other for other, label in results if label is None]
    names = [f"the comparison with {other}" for other in whole]
    for model in dict.fromkeys(other for other, label in results if label is not None and other not in whole):
        labels = ", ".join(str(label) for other, label in results if other == model and label is not None)
        names.append(f"the scores under {labels}" if model is None else f"the scores of {model} under {labels}")
    return ", and ".join(names)


def _is_noise(label: str | None) -> bool:
    return label is not None and label.startswith(f"{NOISE}:")


def _without_noise(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the conditions of noise, of the run and of the models that it was compared with."""
    found = {name: value for name, value in evaluation.items() if name != NOISE}
    if CONDITIONS in found:
        found[CONDITIONS] = _quiet(found[CONDITIONS])
    if COMPARISONS in found:
        found[COMPARISONS] = [
            each | ({CONDITIONS: _quiet(each[CONDITIONS])} if CONDITIONS in each else {}) for each in found[COMPARISONS]
        ]
    return found


def _quiet(conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {label: each for label, each in conditions.items() if not _is_noise(label)}


def _scored(languages: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return what says how each language was scored, and its scores, as plain values."""
    found = {}
    for code, entry in languages.items():
        own = {name: value for name, value in entry.items() if name not in _OPTIONAL}
        # A language model is known by its checksum, if it is stored: the same file may be written in several ways.
        if (own.get("decoder", {}).get("tuned") or {}).get("sha256"):
            own["decoder"] = {name: value for name, value in own["decoder"].items() if name != "language_model"}
            tuned = own["decoder"]["tuned"]
            own["decoder"]["tuned"] = {name: value for name, value in tuned.items() if name != "language_model"}
        found[code] = own
    return json.loads(json.dumps(found))


def _merged(values: dict[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Add earlier results to new ones, which come first where both have one."""
    merged = dict(values)
    old = {str(each["other"]): each for each in earlier.get(COMPARISONS, ())}
    new = {str(each["other"]): _with_conditions(each, old) for each in values.get(COMPARISONS, ())}
    comparisons = [each for other, each in old.items() if other not in new] + list(new.values())
    if comparisons:
        merged[COMPARISONS] = comparisons
    new_conditions = values.get(CONDITIONS, {})
    kept = {label: each for label, each in earlier.get(CONDITIONS, {}).items() if label not in new_conditions}
    if kept:
        merged[CONDITIONS] = kept | new_conditions
        merged["languages"] = {
            code: entry | {CONDITIONS: _of(earlier["languages"][code], kept) | entry.get(CONDITIONS, {})}
            for code, entry in values["languages"].items()
        }
        if noise := values.get(NOISE, earlier.get(NOISE)):
            merged[NOISE] = noise
    return merged


def _with_conditions(new: Mapping[str, Any], old: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Add the conditions of an earlier comparison with the same model, if its scores are the same."""
    before = old.get(str(new["other"]), {})
    plain = json.loads(json.dumps([new.get("kind"), new.get("languages")]))
    if not before.get(CONDITIONS) or [before.get("kind"), before.get("languages")] != plain:
        return dict(new)
    own = new.get(CONDITIONS, {})
    return {**new, CONDITIONS: before[CONDITIONS] | own}


def _of(entry: Mapping[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {label: each for label, each in entry.get(CONDITIONS, {}).items() if label in conditions}
