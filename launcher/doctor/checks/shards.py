"""Check that the shards of all languages are present, complete and usable for training."""

import hashlib
import unicodedata
from collections.abc import Collection, Generator, Iterator
from dataclasses import replace

from launcher.doctor.context import Context
from launcher.doctor.finding import Finding, Findings, count_failures, failed, failed_with, not_checked, ok, warning
from mms_dist.config import Config
from mms_dist.data.augmented import longest_seconds
from mms_dist.data.language_balance import groups_nowhere
from mms_dist.data.language_summaries import LanguageSummary, summarise_languages
from mms_dist.data.training_stream import training_table
from mms_dist.errors import MmsDistError
from shards import storage
from shards.errors import ShardsError, TruncatedShardError
from shards.file_content import fix_of
from shards.index import LanguageIndex, ShardIndex, indexed_languages
from shards.read import ShardReader
from shards.schema import INDEX_NAME
from shards.verify import folders_without_index
from shards.vocabulary import FIXED

SHOWN = 12
REPLACEMENT = "\ufffd"
_NO_TEXT = ("Cc", "Co", "Cn", "Cs")
"""Unicode's general categories for control, private-use, unassigned and surrogate code points."""


def check(context: Context) -> Findings:
    """Check every language, and store those that can be trained in the context."""
    config = context.config
    if config is None:
        yield not_checked("needs the configuration, which says where the shards are")
        return
    root = config.data.shards
    codes = sorted(config.data.languages or indexed_languages(root))
    failures = yield from count_failures(_unknown_languages(config.languages, codes))
    digest = hashlib.sha256()
    for code in codes:
        entry, index, wrong = yield from _language(config, code)
        failures += wrong
        if entry is not None and index is not None:
            context.languages.append(entry)
            context.longest_seconds = max(context.longest_seconds, _longest_seconds(config, index))
            digest.update(storage.read_bytes(storage.join(root, code, INDEX_NAME)))
    for name in groups_nowhere(entry.balance for entry in context.languages):
        yield warning(
            f"no language has the group {name!r} of balance.weights",
            f"correct the name; `mms-dist shards inspect {root} --lang CODE` lists the groups",
        )
    context.identity["shards"] = digest.hexdigest()[:16]
    if config.data.languages is None:
        for code, found in folders_without_index(root, codes).items():
            yield warning(f"{code}: {'; '.join(map(str, found.problems))}", found.fix or "")
    if not failures:
        hours = sum(entry.seconds for entry in context.languages) / 3600
        names = ", ".join(codes[:SHOWN]) + (", …" if len(codes) > SHOWN else "")
        yield ok(
            f"{root}: {len(codes)} languages ({names}), {sum(e.utterances for e in context.languages):,} utterances, "
            f"{hours:,.1f} h; every shard exists and has the length that its index says"
        )


def _language(
    config: Config, code: str
) -> Generator[Finding, None, tuple[LanguageSummary | None, LanguageIndex | None, int]]:
    """Yield what is wrong with a language, and return its summary, its index and the number of failures."""
    own = {code: config.languages[code]} if code in config.languages else {}
    of_one_language = replace(config, data=replace(config.data, languages=(code,)), languages=own)
    try:
        whole, (entry,) = summarise_languages(of_one_language)
    except TruncatedShardError:
        problems = _wrong_lengths(ShardIndex.load(config.data.shards, [code]).language(code))
        return None, None, (yield from count_failures(map(failed_with, problems)))
    except (MmsDistError, ShardsError) as error:
        yield failed_with(error)
        return None, None, 1
    index = whole.language(code)
    failures = yield from count_failures(map(failed_with, _unreadable(whole, index)))
    for found, fix in unusual_text(index):
        yield warning(found, fix)
    if entry.balance is not None and not entry.balance.groups:
        yield warning(
            entry.balance.line(code),
            f"build the shards with a column for it, or set languages.{code}.balance.by to null",
        )
    return entry, index, failures


def _wrong_lengths(index: LanguageIndex) -> Iterator[ShardsError]:
    """Yield every shard that is missing or has the wrong length; training stops at the first."""
    for split in index.splits:
        for shard in index.shards(split):
            url = index.shard_url(shard)
            is_right, found = storage.has_length(url, shard.bytes)
            if not is_right:
                fix = fix_of(storage.local_path(url), index.fix)
                yield TruncatedShardError(url, bytes_found=found, bytes_expected=shard.bytes, fix=fix)


def _unreadable(whole: ShardIndex, index: LanguageIndex) -> Iterator[ShardsError]:
    """Decode the first and last utterance of each split; `mms-dist shards verify` reads the rest.

    Skip remote shards, which would be downloaded whole.
    """
    if storage.is_url(whole.root):
        return
    reader = ShardReader(whole)
    try:
        for split in index.splits:
            for row in sorted({0, index.utterances(split) - 1}):
                try:
                    reader.read(index.language, split, row)
                except ShardsError as error:
                    fix = f"{error.fix or index.fix}; 'mms-dist shards verify {whole.root}' reads every utterance"
                    yield ShardsError(error.found, fix)
    finally:
        reader.close()


def _longest_seconds(config: Config, index: LanguageIndex) -> float:
    return longest_seconds(training_table(config, index), config.for_language(index.language).augment)


def _unknown_languages(own: Collection[str], codes: list[str]) -> Findings:
    for code in sorted(set(own) - set(codes)):
        yield failed(
            f"languages.{code} has its own settings, but the run does not train it",
            "correct the code, or add it to data.languages and the shards",
        )


def unusual_text(index: LanguageIndex) -> Iterator[tuple[str, str]]:
    """Yield problems in a language's text, each with its fix, from the index alone."""
    code = index.language
    characters = index.vocabulary.tokens[len(FIXED) :]
    if not characters:
        yield f"{code}: its vocabulary has no characters", index.fix
    if len(index.vocabulary) != index.content.get("vocabulary", len(index.vocabulary)):
        yield (
            f"{code}: its vocab.json has {len(index.vocabulary)} tokens, but its index says "
            f"{index.content['vocabulary']}",
            index.fix,
        )
    damaged = [each for each in characters if each == REPLACEMENT or unicodedata.category(each[0]) in _NO_TEXT]
    if damaged:
        names = ", ".join(f"U+{ord(each[0]):04X}" for each in damaged[:5])
        yield (
            f"{code}: its text contains {len(damaged)} invalid characters ({names})",
            "convert the transcripts from their real encoding to UTF-8, and build the shards again",
        )
    if "dev" not in index.splits:
        yield (
            f"{code}: no dev split, so there is no error rate, no best checkpoint and no early stopping",
            "assign some utterances to the dev split, or build the shards with --dev-fraction 0.05",
        )
