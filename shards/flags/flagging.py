"""Flag the utterances of a language: from its measures and texts, all of them together.

The result depends on the utterances and their order alone. Legend: N utterances, in the order of the sample table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.flags.copies import earlier_copies, equal_bytes
from shards.flags.language_models import LanguageModels
from shards.flags.names import FLAGS, FlagOptions, joined
from shards.flags.outliers import low_scores, outliers
from shards.flags.scripts import main_scripts, share_outside, usual_scripts
from shards.near_texts import earlier_texts, similarity
from shards.schema import SAMPLE_RATE
from shards.splits import PRECEDENCE, SPLITS
from shards.wording import elided

_EXAMPLES = 5
_TEXT_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterances:
    """What is known of the utterances of a language: columns of the sample table and the texts, each `[N]`.

    `scripts`: those that the text is expected in; empty: that which most letters are in.
    """

    language: str
    split: Sequence[str]
    key: Sequence[str]
    text: Sequence[str]
    samples: NDArray[np.int64]
    align_score: NDArray[np.float64]
    level_db: NDArray[np.float64]
    clipped_share: NDArray[np.float64]
    speech_seconds: NDArray[np.float64]
    fingerprint: Sequence[bytes]
    scripts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.key)


@dataclass(slots=True)
class Flagged:
    """The flags of the utterances: those that have each, bool `[N]`, and what was found in one of these."""

    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    details: dict[str, Callable[[int], str]] = field(default_factory=dict)

    def add(self, flag: str, mask_N: NDArray[np.bool_], detail: Callable[[int], str]) -> None:
        """Add a flag."""
        assert flag in FLAGS, flag
        self.masks[flag], self.details[flag] = mask_N, detail

    def names(self) -> list[str]:
        """Return the value of the column `flags`, `[N]`."""
        rows: dict[int, list[str]] = {}
        for flag, mask_N in self.masks.items():
            for row in np.flatnonzero(mask_N).tolist():
                rows.setdefault(row, []).append(flag)
        length = len(next(iter(self.masks.values()), ()))
        return [joined(rows.get(row, ())) for row in range(length)]


def flag_utterances(
    found: Utterances,
    options: FlagOptions,
    models: LanguageModels | None = None,
    *,
    dropped: Collection[str] = (),
) -> Flagged:
    """Return the flags of all utterances of a language.

    Of copies and repeated texts the first one is not flagged as such: test comes before dev, dev before train, and
    within a split those without other flags come first, and then the order is that of the table. So what is left
    without the copies has one of each, and test keeps its own.

    Args:
        models: of the languages of the corpus, counted from the first texts of train; None: texts in other languages
            are not looked for.
        dropped: flags whose utterances are dropped: those with one have no copies, so that one of each is left.
    """
    flagged = Flagged()
    share_N = found.clipped_share
    flagged.add("clipped", share_N >= options.threshold("clipped"), lambda row: f"{share_N[row]:.2%} of its samples")
    speech_N = found.speech_seconds / (found.samples / SAMPLE_RATE)
    flagged.add(
        "mostly_silent", speech_N < options.threshold("mostly_silent"), lambda row: f"{speech_N[row]:.0%} speech"
    )
    scripts = found.scripts or usual_scripts(found.language) or main_scripts(found.text)
    outside_N = share_outside(found.text, scripts)
    flagged.add(
        "unexpected_script",
        outside_N > options.threshold("unexpected_script"),
        lambda row: f"{outside_N[row]:.0%} not in {' or '.join(scripts)}: {_shown(found.text[row])}",
    )
    if models is not None:
        _flag_languages(flagged, found, options, models)
    labels_N = np.array([len(text) for text in found.text], np.float64)
    rate_N = labels_N / np.maximum(found.speech_seconds, 0.1)
    flagged.add(
        "unusual_speaking_rate",
        outliers(np.log(np.maximum(rate_N, 0.01)), "unusual_speaking_rate", options),
        lambda row: f"{rate_N[row]:.1f} characters a second, median {np.median(rate_N):.1f}: {_shown(found.text[row])}",
    )
    level_N = found.level_db
    flagged.add(
        "unusual_loudness",
        outliers(level_N, "unusual_loudness", options),
        lambda row: f"{level_N[row]:.1f} dB, median {np.median(level_N):.1f} dB",
    )
    score_N = found.align_score
    flagged.add(
        "unusual_align_score",
        low_scores(score_N, found.split, options),
        lambda row: f"score {score_N[row]:.2f}: {_shown(found.text[row])}",
    )
    _flag_repeats(flagged, found, options, dropped)
    return flagged


def describe(found: Utterances, flagged: Flagged, options: FlagOptions, compared: Sequence[str] = ()) -> dict[str, Any]:
    """Return what an index says about flags: thresholds, and the number and examples of each flag.

    Args:
        compared: the languages that texts were compared with.
    """
    entries = {}
    for flag in FLAGS:
        if flag in flagged.masks and flagged.masks[flag].any():
            mask_N, detail = flagged.masks[flag], flagged.details[flag]
            entries[flag] = flag_entry(mask_N, found.split, found.samples, found.key, detail)
    thresholds = {flag: options.threshold(flag) for flag in FLAGS}
    return {"thresholds": thresholds, "compared_with": list(compared), "found": entries}


def flag_entry(
    mask_N: NDArray[np.bool_],
    split_N: Sequence[str],
    samples_N: NDArray[np.integer],
    key_N: Sequence[str],
    detail: Callable[[int], str],
) -> dict[str, Any]:
    """Return what an index says about one flag: number, seconds, number by split, and the first few as examples."""
    rows = np.flatnonzero(mask_N).tolist()
    splits = Counter(split_N[row] for row in rows)
    return {
        "count": len(rows),
        "seconds": round(int(samples_N[rows].sum()) / SAMPLE_RATE, 3),
        "splits": {split: splits[split] for split in SPLITS},
        "examples": [f"{key_N[row]}: {detail(row)}" for row in rows[:_EXAMPLES]],
    }


def _flag_repeats(flagged: Flagged, found: Utterances, options: FlagOptions, dropped: Collection[str]) -> None:
    """Flag copies of recordings and repeated texts, except the first of each, among what is not dropped."""
    precedence = {split: place for place, split in enumerate(PRECEDENCE)}
    is_flagged = np.any(list(flagged.masks.values()), axis=0).tolist()
    in_order = sorted(range(len(found)), key=lambda row: (precedence[found.split[row]], is_flagged[row]))
    order = _without(np.array(in_order, np.int64), flagged, dropped)

    def first_before(
        search: Callable[[Sequence[Any], float], NDArray[np.int64]],
        values: Sequence[Any],
        flag: str,
        order: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        earlier = search([values[row] for row in order.tolist()], options.threshold(flag))
        first_N = np.full(len(found), -1, np.int64)
        first_N[order] = np.where(earlier >= 0, order[earlier], -1) if len(order) else earlier
        return first_N

    copy_N = first_before(earlier_copies, found.fingerprint, "near_duplicate_audio", order)

    def copied(row: int) -> str:
        other = int(copy_N[row])
        equal, of = equal_bytes(found.fingerprint[row], found.fingerprint[other])
        return (
            f"a copy of {found.key[other]} in {found.split[other]} ({equal} of {of} bytes): {_both(found, row, other)}"
        )

    flagged.add("near_duplicate_audio", copy_N >= 0, copied)
    order = _without(order, flagged, dropped)
    text_N = first_before(earlier_texts, found.text, "near_duplicate_text", order)

    def repeated(row: int) -> str:
        other = int(text_N[row])
        alike = similarity(found.text[row], found.text[other])
        return f"as {found.key[other]} in {found.split[other]} ({alike:.2f}): {_both(found, row, other)}"

    flagged.add("near_duplicate_text", text_N >= 0, repeated)


def _without(rows: NDArray[np.int64], flagged: Flagged, dropped: Collection[str]) -> NDArray[np.int64]:
    """Return the rows that have none of the flags `dropped`, as far as these are known."""
    for flag in dropped:
        if flag in flagged.masks:
            rows = rows[~flagged.masks[flag][rows]]
    return rows


def _flag_languages(flagged: Flagged, found: Utterances, options: FlagOptions, models: LanguageModels) -> None:
    # A text is not to vouch for its own language, and only those of train that were counted do.
    train = [row for row, split in enumerate(found.split) if split == "train"]
    counted = set(train[: models.counted.get(found.language, 0)])
    likelier = [models.likelier(text, found.language, counted=row in counted) for row, text in enumerate(found.text)]
    least = options.threshold("unexpected_language")
    mask = np.array([each is not None and each.log_ratio >= least for each in likelier], bool)

    def detail(row: int) -> str:
        other = likelier[row]
        assert other is not None
        return f"like {other.language} ({other.log_ratio:.0f}): {_shown(found.text[row])}"

    flagged.add("unexpected_language", mask, detail)


def _both(found: Utterances, row: int, other: int) -> str:
    one, two = found.text[row], found.text[other]
    return _shown(one) if one == two else f"{_shown(one)} / {_shown(two)}"


def _shown(text: str) -> str:
    return elided(text, _TEXT_CHARACTERS)


def utterances_of(
    language: str, columns: Mapping[str, Sequence[Any]], texts: Sequence[str], scripts: tuple[str, ...] = ()
) -> Utterances:
    """Return the utterances from columns of the sample table, with None where a value is unknown."""
    scores = columns.get("align_score") or [None] * len(texts)
    return Utterances(
        language=language,
        split=columns["split"],
        key=columns["key"],
        text=texts,
        samples=np.array(columns["samples"], np.int64),
        align_score=np.array([np.nan if score is None else score for score in scores], np.float64),
        level_db=np.array(columns["level_db"], np.float64),
        clipped_share=np.array(columns["clipped_share"], np.float64),
        speech_seconds=np.array(columns["speech_seconds"], np.float64),
        fingerprint=columns["fingerprint"],
        scripts=scripts,
    )
