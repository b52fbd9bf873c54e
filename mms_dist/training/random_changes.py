"""Report what changes when a run that an earlier version started is resumed.

Earlier versions identified utterances by their keys, or used another hash for dropout. Such a run continues with the
current identities and masks. Its log says for each language after which step its masks, or the utterances it is
evaluated on, differ from those of the earlier version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mms_dist.config import LanguageSettings
from mms_dist.data.utterance_id import IDENTITY_VERSION
from mms_dist.model.dropout import DRAWS_VERSION
from mms_dist.training.dev_evaluation import SPLIT
from mms_dist.training.report_collector import Event
from shards.index import LanguageIndex

VERSIONS = {"identity_version": IDENTITY_VERSION, "dropout_version": DRAWS_VERSION}
"""Versions of the random draws, stored in a checkpoint's state."""
_FIRST_VERSION = 1  # its checkpoints do not store a version
MASKS_OF_AUGMENT, MASKS_OF_DROPOUT = "SpecAugment", "dropout"
EVALUATED = "the utterances that evaluation.max_utterances chooses"


@dataclass(frozen=True)
class RandomChanges:
    """The random choices that change for a language after step `step`."""

    step: int
    what: tuple[str, ...]


def random_changes(
    settings: LanguageSettings,
    max_utterances: int | None,
    index: LanguageIndex,
    state: Mapping[str, Any],
    step: int,
) -> RandomChanges | None:
    """Return what is drawn differently for a language resumed from a checkpoint's `state`; None if nothing is.

    Args:
        max_utterances: `evaluation.max_utterances`.
    """
    others = {name for name, version in VERSIONS.items() if state.get(name, _FIRST_VERSION) != version}
    other_identity = "identity_version" in others
    changes = {
        MASKS_OF_AUGMENT: other_identity and (settings.augment.time_prob > 0 or settings.augment.feature_prob > 0),
        MASKS_OF_DROPOUT: bool(others) and settings.adapter.dropout > 0,
        EVALUATED: other_identity and max_utterances is not None and index.utterances(SPLIT) > max_utterances,
    }
    what = tuple(name for name, changed in changes.items() if changed)
    return RandomChanges(step, what) if what else None


def random_change_events(found: Mapping[str, RandomChanges]) -> list[Event]:
    """Return one event for all languages, so that a run of a thousand does not start with a thousand lines."""
    if not found:
        return []
    what = [
        name
        for name in (MASKS_OF_AUGMENT, MASKS_OF_DROPOUT, EVALUATED)
        if any(name in each.what for each in found.values())
    ]
    steps = {language: found[language].step for language in sorted(found)}
    return [Event("draws_changed", {"what": what, "after_step": steps})]
