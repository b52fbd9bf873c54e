"""Check that the shards of all languages are present, complete and usable for training."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from launcher.doctor.vocabulary import oddities
from mms_dist.config import Config
from mms_dist.data.augmented import longest_seconds
from mms_dist.data.language_summaries import LanguageSummary, summarise_languages
from mms_dist.data.selection import trainable
from mms_dist.errors import MmsDistError
from shards import storage
from shards.errors import ShardsError, TruncatedShardError
from shards.file_content import fix_of
from shards.index import LanguageIndex, ShardIndex, indexed_languages
from shards.read import ShardReader
from shards.schema import INDEX_NAME
from shards.verify import folders_without_index

SHOWN = 12


def look(context: Context, notes: Notes) -> None:
    """Check every language, and store those that can be trained in the context."""
    config = context.config
    if config is None:
        notes.skip("needs the configuration, which says where the shards are")
        return
    root = config.data.shards
    codes = sorted(config.data.languages or indexed_languages(root))
    _unknown_languages(config, codes, notes)
    digest = hashlib.sha256()
    for code in codes:
        entry, index = _language(config, code, notes)
        if entry is not None and index is not None:
            context.languages.append(entry)
            context.longest_seconds = max(context.longest_seconds, _longest_seconds(config, index))
            digest.update(storage.read_bytes(storage.join(root, code, INDEX_NAME)))
    context.identity["shards"] = digest.hexdigest()[:16]
    if config.data.languages is None:
        for code, found in folders_without_index(root, codes).items():
            notes.warn(f"{code}: {'; '.join(found.problems)}", found.fix or "")
    if not notes.of("failed"):
        hours = sum(entry.seconds for entry in context.languages) / 3600
        names = ", ".join(codes[:SHOWN]) + (", …" if len(codes) > SHOWN else "")
        notes.ok(
            f"{root}: {len(codes)} languages ({names}), {sum(e.utterances for e in context.languages):,} utterances, "
            f"{hours:,.1f} h; every shard exists and has the length that its index says"
        )


def _language(config: Config, code: str, notes: Notes) -> tuple[LanguageSummary | None, LanguageIndex | None]:
    """Return a language's summary and index, or note what is wrong with it."""
    own = {code: config.languages[code]} if code in config.languages else {}
    alone = replace(config, data=replace(config.data, languages=(code,)), languages=own)
    try:
        whole, (entry,) = summarise_languages(alone)
    except TruncatedShardError:
        for problem in _wrong_lengths(ShardIndex.load(config.data.shards, [code]).language(code)):
            notes.error(problem)
        return None, None
    except (MmsDistError, ShardsError) as error:
        notes.error(error)
        return None, None
    index = whole.language(code)
    for problem in _unreadable(whole, index):
        notes.error(problem)
    for found, fix in oddities(index):
        notes.warn(found, fix)
    return entry, index


def _wrong_lengths(index: LanguageIndex) -> Iterator[ShardsError]:
    """Yield every shard that is missing or has the wrong length; training stops at the first."""
    for split in index.splits:
        for shard in index.shards(split):
            url = index.shard_url(shard)
            found = storage.size_bytes(url)
            unknown = found is None and (url.startswith("pipe:") or storage.exists(url))
            if found != shard.bytes and not unknown:
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
                    yield ShardsError(
                        f"{error}", fix=f"{index.fix}; 'mms-dist shards verify {whole.root}' reads every utterance"
                    )
    finally:
        reader.close()


def _longest_seconds(config: Config, index: LanguageIndex) -> float:
    table = trainable(index.table("train"), max_seconds=config.data.max_seconds)
    return longest_seconds(table, config.for_language(index.language).augment)


def _unknown_languages(config: Config, codes: list[str], notes: Notes) -> None:
    for code in sorted(set(config.languages) - set(codes)):
        notes.fail(
            f"languages.{code} has its own settings, but the run does not train it",
            "correct the code, or add it to data.languages and the shards",
        )
