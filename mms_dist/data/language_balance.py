"""Balance the speakers, sources or accents of one language: in its epochs, and in its loss."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.config import Balance, Config
from mms_dist.data.epoch_selection import NO_GROUP, EpochSelection, shares_of
from mms_dist.errors import ConfigError, DataError
from shards.index import LanguageIndex, SampleTable
from shards.index.groups import group_names, numbered
from shards.schema import SAMPLE_RATE

SHOWN_LANGUAGES = 8


@dataclass(frozen=True, kw_only=True)
class BalanceSummary:
    """What balance does to a language, in an average epoch.

    Attributes:
        by: the groups: `speaker`, `source` or a tag.
        groups: number of groups.
        unknown: utterances of unknown group.
        above_cap: utterances left out because they are longer than the cap.
        seconds: audio without balance.
        epoch_seconds: audio of an epoch.
        largest: name of the group with the most audio; None if there are no groups.
        largest_share: its share of all audio, from 0 to 1.
        largest_epoch_share: the largest share of an epoch that any group has.
        most_repeats: how often the utterances of the group that is repeated most come in an epoch.
        loss_weights: lowest and highest weight in the loss, by which all losses of a group are multiplied.
        names: names of the groups that `balance.weights` has and the language too.
        missing: names that `balance.weights` has and the language does not.
    """

    by: str
    groups: int
    unknown: int
    above_cap: int
    seconds: float
    epoch_seconds: float
    largest: str | None
    largest_share: float
    largest_epoch_share: float
    most_repeats: float
    loss_weights: tuple[float, float]
    names: tuple[str, ...]
    missing: tuple[str, ...]

    def line(self, language: str) -> str:
        """Return one line about it, for the start of a run."""
        if self.largest is None:
            return f"{language}: no training utterance has a {_kind(self.by)}, so nothing is balanced"
        line = f"{language}: {self.groups:,} by {self.by}"
        if self.epoch_seconds != self.seconds or self.most_repeats > 1:
            line += f"; an epoch has {self.epoch_seconds / 3600:,.2f} of {self.seconds / 3600:,.2f} h"
        line += f"; {self.largest} has {self.largest_share:.0%} of the audio"
        line += f", the largest group {self.largest_epoch_share:.0%} of an epoch"
        if self.most_repeats > 1:
            line += f"; utterances come up to {self.most_repeats:,.1f} times"
        if self.loss_weights != (1.0, 1.0):
            low, high = self.loss_weights
            line += f"; weights in the loss from {low:.3g} to {high:.3g}"
        if self.unknown:
            line += f"; {self.unknown:,} utterances without a {_kind(self.by)} come once"
        if self.above_cap:
            line += f"; {self.above_cap:,} utterances longer than the cap are left out"
        return line


@dataclass(frozen=True)
class LanguageBalance:
    """Which utterances come in an epoch and how often, and their weights in the loss; None: no balance.

    Attributes:
        selection: see `EpochSelection`.
        weights: weight of each utterance, float64 [N].
        summary: what both do.
    """

    selection: EpochSelection | None = None
    weights: np.ndarray | None = None
    summary: BalanceSummary | None = None

    @classmethod
    def of(cls, settings: Balance, index: LanguageIndex, table: SampleTable, *, seed: int) -> "LanguageBalance":
        """Balance the training utterances in `table`, a selection of the split's table.

        Raises:
            MissingColumnError: the sample table was written by an earlier version and lacks the column.
            DataError: every utterance is longer than the cap.
        """
        if settings.by is None or len(table) == 0:
            return cls()
        groups, number_N = numbered(group_names(index, "train", settings.by)[table.rows])
        if groups[0] == "":  # it sorts first
            groups, number_N = groups[1:], number_N - 1
        selection = EpochSelection(
            number_N,
            table.samples,
            seed=seed,
            language=index.language,
            cap_seconds=settings.cap_seconds,
            temperature=settings.temperature,
        )
        if selection.average_samples == 0:
            raise DataError(
                f"{index.language}: every training utterance is longer than balance.cap_seconds "
                f"({settings.cap_seconds:g} s)",
                fix=f"raise balance.cap_seconds or languages.{index.language}.balance.cap_seconds",
            )
        weight_G = _weights(settings, groups, selection.quotas)
        is_weighted = settings.loss_temperature != 1 or bool(settings.weights)
        weight_N = np.append(weight_G, 1.0)[number_N]  # NO_GROUP is the last
        return cls(
            selection if settings.cap_seconds is not None or settings.temperature != 1 else None,
            weight_N if is_weighted else None,
            _summary(settings, groups, number_N, table, selection, weight_G),
        )


def check_weights(config: Config, summaries: Sequence[BalanceSummary]) -> None:
    """Check that every group in `balance.weights` exists in some language.

    Raises:
        ConfigError: one does not; its weight would silently do nothing.
    """
    found = {name for each in summaries for name in each.names}
    wrong = sorted({name for each in summaries for name in each.missing} - found)
    if wrong:
        raise ConfigError(
            f"balance.weights: no language has the group {wrong[0]!r}",
            fix=f"correct the name; `mms-dist shards inspect {config.data.shards}` lists the groups",
        )


def balance_lines(entries: Iterable[tuple[str, BalanceSummary | None]]) -> list[str]:
    """Return a line for each language that is balanced; of very many, for the first ones."""
    lines = [summary.line(language) for language, summary in entries if summary is not None]
    more = len(lines) - SHOWN_LANGUAGES
    return lines if more <= 0 else [*lines[:SHOWN_LANGUAGES], f"and {more:,} more languages"]


def _weights(settings: Balance, groups: Sequence[str], quota_G: np.ndarray) -> np.ndarray:
    """Return the weight of each group in the loss, float64 [G].

    A group's part of the loss is its part of an epoch times its weight, so the weight is wanted share / share.
    """
    wanted_G = shares_of(quota_G, settings.loss_temperature)
    tempered_G = np.where(quota_G > 0, np.maximum(wanted_G, 1) / np.maximum(quota_G, 1), 1.0)
    return tempered_G * np.array([settings.weights.get(name, 1.0) for name in groups])


def _summary(
    settings: Balance,
    groups: Sequence[str],
    number_N: np.ndarray,
    table: SampleTable,
    selection: EpochSelection,
    weight_G: np.ndarray,
) -> BalanceSummary:
    is_known = number_N != NO_GROUP
    all_G = np.bincount(number_N[is_known], weights=table.samples[is_known], minlength=len(groups))
    total = float(table.samples.sum(dtype=np.int64))
    usable_G, largest = selection.group_samples, int(all_G.argmax()) if groups else None
    repeats_G = selection.quotas / np.maximum(usable_G, 1)
    return BalanceSummary(
        by=str(settings.by),
        groups=len(groups),
        unknown=int((~is_known).sum()),
        above_cap=int((~selection.usable).sum()),
        seconds=total / SAMPLE_RATE,
        epoch_seconds=selection.average_samples / SAMPLE_RATE,
        largest=None if largest is None else groups[largest],
        largest_share=0.0 if largest is None else float(all_G[largest]) / total,
        largest_epoch_share=float(selection.quotas.max(initial=0)) / selection.average_samples,
        most_repeats=float(repeats_G.max(initial=1.0)),
        loss_weights=(float(weight_G.min()), float(weight_G.max())) if groups else (1.0, 1.0),
        names=tuple(name for name in settings.weights if name in groups),
        missing=tuple(name for name in settings.weights if name not in groups),
    )


def _kind(by: str) -> str:
    return by.removeprefix("tag:")
