"""What an evaluation keeps of an earlier one of the same split: results that it was not asked for and that still hold.

Comparisons and conditions take long, and a later `mms-dist eval` without them would lose them. They are kept if every
language was scored with the same checkpoint, decoder and rules and has the same scores to the last bit: then the
earlier results are those that would be found again.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mms_dist.files import UnreadableFileError, read_text

COMPARISONS, CONDITIONS, NOISE = "comparisons", "conditions", "noise"
_OPTIONAL = ("conditions", "by", "confusions", "unreadable", "quarantined")
"""Entries of a language that do not say what was scored."""


def keep_results(path: Path, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Add the comparisons and conditions of the evaluation in a file to those of a new one.

    Args:
        path: of the earlier evaluation, SPLIT.json; it may be missing.
        values: content of the new one.

    Returns:
        The content to store, and lines for people: what was kept, or what no longer holds.
    """
    try:
        earlier = json.loads(read_text(path))
        old = {code: dict(entry) for code, entry in earlier["languages"].items()}
        comparisons = {str(each["other"]): each for each in earlier.get(COMPARISONS, ())}
        conditions = dict(earlier.get(CONDITIONS, {}))
    except (UnreadableFileError, ValueError, KeyError, TypeError, AttributeError):
        return values, []
    compared = {str(each["other"]) for each in values.get(COMPARISONS, ())}
    comparisons = {other: each for other, each in comparisons.items() if other not in compared}
    # The noise of another folder is another condition, though it has the same name.
    if NOISE in values and earlier.get(NOISE) != values[NOISE]:
        conditions = {label: each for label, each in conditions.items() if not label.startswith(f"{NOISE}:")}
    conditions = {label: each for label, each in conditions.items() if label not in values.get(CONDITIONS, {})}
    names = [f"the comparison with {other}" for other in comparisons]
    if conditions:
        names.append(f"the scores under {', '.join(conditions)}")
    if not names:
        return values, []
    same = ("base", "shards")
    if _scored(old) != _scored(values["languages"]) or any(earlier.get(name) != values.get(name) for name in same):
        return values, [f"no longer in {path}, as it was of other scores: {', and '.join(names)}; ask for it again"]
    return _merged(values, earlier, comparisons, conditions), [f"kept from before in {path}: {', and '.join(names)}"]


def _scored(languages: Mapping[str, Mapping[str, Any]]) -> Any:
    own = {
        code: {name: value for name, value in entry.items() if name not in _OPTIONAL}
        for code, entry in languages.items()
    }
    return json.loads(json.dumps(own))


def _merged(
    values: dict[str, Any],
    earlier: Mapping[str, Any],
    comparisons: Mapping[str, Any],
    conditions: Mapping[str, Any],
) -> dict[str, Any]:
    merged = dict(values)
    if comparisons:
        merged[COMPARISONS] = [*comparisons.values(), *values.get(COMPARISONS, ())]
    if conditions:
        merged[CONDITIONS] = conditions | values.get(CONDITIONS, {})
        merged["languages"] = {
            code: entry | {CONDITIONS: _of(earlier["languages"][code], conditions) | entry.get(CONDITIONS, {})}
            for code, entry in values["languages"].items()
        }
        if noise := values.get(NOISE, earlier.get(NOISE)):
            merged[NOISE] = noise
    return merged


def _of(entry: Mapping[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {label: each for label, each in entry.get(CONDITIONS, {}).items() if label in conditions}
