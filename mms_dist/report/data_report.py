"""What the shards of a run hold: hours, speakers, and what was left out. Only the indexes are read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mms_dist.config import Config
from mms_dist.data.language_balance import LanguageBalance
from mms_dist.data.training_stream import training_table
from mms_dist.errors import DataError
from mms_dist.report.run_report import DataReport, Dropped, LanguageData
from shards.drops import REASONS, Reason
from shards.errors import ShardsError
from shards.flags.names import FLAGS
from shards.index import LanguageIndex, ShardIndex
from shards.splits import SPLITS

MOST_EXAMPLES = 3
_OF_A_LATER_VERSION = Reason("a reason that this version does not know", "")
_VOCABULARY_WITHOUT_CHARACTERS = 5


def read_index(shards: str, languages: Sequence[str]) -> tuple[ShardIndex | None, str | None]:
    """Return the indexes of these languages, and the problem with those that cannot be read."""
    problem = None
    try:
        return ShardIndex.load(shards, languages), None
    except ShardsError as error:
        problem = str(error)
    readable = [code for code in languages if _is_readable(shards, code)]
    return (ShardIndex.load(shards, readable) if readable else None), problem


def data_report(shards: str, index: ShardIndex | None, problem: str | None, config: Config | None = None) -> DataReport:
    """Summarise the shards of all languages, and how the run balances them."""
    languages = {code: _language(index.language(code)) for code in index.languages} if index else {}
    balanced = list(_balanced(config, index)) if config and index else []
    flagged = [each for code in index.languages for each in _flagged(index.language(code), config)] if index else []
    dropped = _joined(each for language in languages.values() for each in language.dropped)
    return DataReport(shards, languages, dropped, _joined(flagged), problem, balanced)


def _flagged(index: LanguageIndex, config: Config | None) -> Iterator[Dropped]:
    left_out = config.data.leave_out_flagged if config else ()
    for name, entry in index.content.get("flags", {}).get("found", {}).items():
        meaning = FLAGS[name].meaning if name in FLAGS else "a flag that this version does not know"
        done = "left out of training" if name in left_out else "kept"
        yield Dropped(name, meaning, done, entry["count"], [f"{index.language}: {each}" for each in entry["examples"]])


def _balanced(config: Config, index: ShardIndex) -> Iterator[str]:
    for code in index.languages:
        settings, language = config.for_language(code).balance, index.language(code)
        if settings.by is None:
            continue
        try:
            table = training_table(config, language)
            summary = LanguageBalance.of(settings, language, table, seed=config.run.seed).summary
        except (DataError, ShardsError) as error:
            yield f"{code}: the balance cannot be shown: {error}"
        else:
            if summary is not None:
                yield summary.line(code)
        language.forget()


def _is_readable(shards: str, language: str) -> bool:
    try:
        ShardIndex.load(shards, [language])
    except ShardsError:
        return False
    return True


def _language(index: LanguageIndex) -> LanguageData:
    return LanguageData(
        seconds={split: index.seconds(split) for split in SPLITS},
        utterances={split: index.utterances(split) for split in SPLITS},
        speakers=index.content["speakers"],
        characters=max(0, int(index.content.get("vocabulary", 0)) - _VOCABULARY_WITHOUT_CHARACTERS),
        dropped=[
            Dropped(name, reason.meaning, reason.fix, entry["count"], entry["examples"])
            for name, entry in index.content["drops"].items()
            if entry["count"] and (reason := REASONS.get(name, _OF_A_LATER_VERSION))
        ],
        characters_not_in_train=index.content.get("characters_not_in_train", {}),
    )


def _joined(entries: Iterable[Dropped]) -> list[Dropped]:
    """Add up the entries of languages by reason, most frequent first."""
    found: dict[str, list[Dropped]] = defaultdict(list)
    for each in entries:
        found[each.reason].append(each)
    joined = [
        replace(
            own[0],
            count=sum(each.count for each in own),
            examples=[example for each in own for example in each.examples][:MOST_EXAMPLES],
            languages=len(own),
        )
        for own in found.values()
    ]
    return sorted(joined, key=lambda each: (-each.count, each.reason))
