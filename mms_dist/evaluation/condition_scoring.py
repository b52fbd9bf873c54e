"""Score a split again under conditions, such as noise, and compare with clean audio."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mms_dist.conditions.condition import Condition
from mms_dist.conditions.parsing import parse_conditions
from mms_dist.conditions.registry import ALL, TAGS
from mms_dist.data.background_speech import BackgroundSpeech, check_background
from mms_dist.data.conditioned import Conditioned
from mms_dist.data.noise_folder import NoiseFolder
from mms_dist.errors import DataError
from mms_dist.evaluation.evaluator import Transcription
from mms_dist.evaluation.metrics import MeasuredTexts, Scores, in_both
from mms_dist.evaluation.paired import Paired, compare, compare_part, mean_change
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.evaluation.utterance_groups import UNNAMED, Attributes, places_by
from shards.index import LanguageIndex
from shards.read import ShardReader

FEWEST_TAGGED = 5
"""Utterances of a tag that make a row of their own."""
BABBLE = "babble of other utterances of the split"


@dataclass(frozen=True)
class Heard:
    """What was decoded of a split: by the decoder that counts, and greedily too if that is another one."""

    transcription: Transcription
    greedy: Transcription | None = None


@dataclass(frozen=True)
class ConditionResult:
    """The scores of one language under one condition, or of its utterances with one tag.

    Attributes:
        texts: what was decoded.
        paired: the difference to clean audio of the utterances that could be read in both; for a tag, to that of all
            utterances.
        greedy: scores of greedy decoding, if `scores` are those of another decoder.
    """

    texts: MeasuredTexts
    paired: Paired
    greedy: Scores | None = None

    @cached_property
    def scores(self) -> Scores:
        return self.texts.measured.scores()


@dataclass(frozen=True)
class Conditions:
    """The conditions of an evaluation, by label, the user's noise, and whether tagged utterances are scored too."""

    by_label: Mapping[str, Condition]
    noise: NoiseFolder | None = None
    tags: bool = False

    @classmethod
    def of(cls, texts: Sequence[str], noise: str | Path | None = None) -> "Conditions":
        """Read what the user wrote.

        Args:
            texts: such as `noise:20,10`, `reverb`, `tags` or `all`.
            noise: folder of recordings that take the place of babble.

        Raises:
            DataError: a condition does not exist, or the folder cannot be used or is not needed.
        """
        conditions, tags = parse_conditions(texts), not {TAGS, ALL}.isdisjoint(texts)
        if noise is None:
            return cls(conditions, tags=tags)
        if not any(each.takes_noise for each in conditions.values()):
            raise DataError(
                "no condition uses the recordings of --noise", fix="add one that does: --conditions noise:20,10,0"
            )
        return cls(conditions, NoiseFolder(Path(noise)), tags)

    @property
    def noise_source(self) -> str | None:
        """What the noise is; None if there is none."""
        if not any(each.takes_noise for each in self.by_label.values()):
            return None
        return BABBLE if self.noise is None else str(self.noise.folder)

    def check(self, index: LanguageIndex, split: str) -> None:
        """Check that a split of a language has what the conditions need.

        Raises:
            DataError: it has too few utterances to mix.
        """
        if any(map(self._mixes_speech, self.by_label.values())):
            check_background(index, split)

    def of_split(self, reader: ShardReader, index: LanguageIndex, split: str) -> dict[str, Conditioned]:
        """Return the conditions for a split of a language, by label."""
        is_needed = any(map(self._mixes_speech, self.by_label.values()))
        speech = BackgroundSpeech(reader, index, split) if is_needed else None
        return {
            label: Conditioned(each, speech, self.noise if each.takes_noise else None)
            for label, each in self.by_label.items()
        }

    def _mixes_speech(self, condition: Condition) -> bool:
        return condition.needs_speech and not (condition.takes_noise and self.noise is not None)


NO_CONDITIONS = Conditions({})


def score_conditions(
    clean: MeasuredTexts,
    conditions: Mapping[str, Conditioned],
    listen: Callable[[Conditioned], Heard],
    rules: ScoringRules,
    *,
    seed: int = 0,
) -> dict[str, ConditionResult]:
    """Decode a split under each of the conditions and compare it with `clean`; the results are by label.

    Args:
        seed: of the bootstrap; another one for each language, so that the interval of their mean is right.
    """
    found = {}
    for label, condition in conditions.items():
        heard = listen(condition)
        texts = heard.transcription.measured(rules)
        before, after = in_both(clean, texts)
        found[label] = ConditionResult(
            texts=texts,
            paired=compare(before.measured, after.measured, seed=seed),
            greedy=None if heard.greedy is None else heard.greedy.scores(rules),
        )
    return found


def score_tags(texts: MeasuredTexts, attributes: Sequence[Attributes], *, seed: int = 0) -> dict[str, ConditionResult]:
    """Score the utterances of each tag that enough have, and compare them with all; the results are by label."""
    return {
        f"tag:{name}": ConditionResult(texts.of(places), compare_part(texts.measured, places, seed=seed))
        for name, places in places_by("tag", attributes).items()
        if name != UNNAMED and len(places) >= FEWEST_TAGGED
    }


def condition_json(result: ConditionResult) -> dict[str, Any]:
    """Plain values of one language under one condition: the fields of `Scores`, `change` and perhaps `greedy`."""
    values = result.scores.as_dict() | {"change": asdict(mean_change([result.paired]))}
    return values | ({"greedy": result.greedy.as_dict()} if result.greedy else {})


def conditions_json(results: Sequence[Mapping[str, ConditionResult]]) -> dict[str, dict[str, Any]]:
    """Plain values of the means over languages under each condition, with the change from clean audio.

    Args:
        results: of each language, by label.
    """
    labels = list(dict.fromkeys(label for own in results for label in own))
    return {label: _mean_json([own[label] for own in results if label in own]) for label in labels}


def _mean_json(results: Sequence[ConditionResult]) -> dict[str, Any]:
    return {
        "languages": len(results),
        "cer": sum(each.scores.cer for each in results) / len(results),
        "wer": sum(each.scores.wer for each in results) / len(results),
        "change": asdict(mean_change([each.paired for each in results])),
    }
