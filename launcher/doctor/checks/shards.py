"""Are the shards of all languages there and whole, with what training needs?"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from launcher.doctor.vocabulary import oddities
from mms_dist.config import Config
from mms_dist.errors import MmsDistError
from mms_dist.training.selection import trainable
from mms_dist.training.summaries import LanguageSummary, summarise_languages
from shards import storage
from shards.errors import ShardsError, TruncatedShardError
from shards.file_content import fix_of
from shards.index import LanguageIndex, ShardIndex, indexed_languages
from shards.read import ShardReader
from shards.schema import INDEX_NAME
from shards.verify import folders_without_index

SHOWN = 12


def look(context: Context, notes: Notes) -> None:
    """Gives the subject the languages that can be trained."""
    config = context.config
    if config is None:
        notes.skip("where they are is not known without the configuration")
        return
    root = config.data.shards
    codes = sorted(config.data.languages or indexed_languages(root))
    _strangers(config, codes, notes)
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
            f"{hours:,.1f} h; every shard is there and as long as its index says"
        )


def _language(config: Config, code: str, notes: Notes) -> tuple[LanguageSummary | None, LanguageIndex | None]:
    """What it brings, or what is wrong with it."""
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
    """Every shard that is missing or not as long as the index says, where training stops at the first."""
    for split in index.splits:
        for shard in index.shards(split):
            url = index.shard_url(shard)
            found = storage.size_bytes(url)
            unknown = found is None and (url.startswith("pipe:") or storage.exists(url))
            if found != shard.bytes and not unknown:
                fix = fix_of(storage.local_path(url), index.fix)
                yield TruncatedShardError(url, bytes_found=found, bytes_expected=shard.bytes, fix=fix)


def _unreadable(whole: ShardIndex, index: LanguageIndex) -> Iterator[ShardsError]:
    """An utterance at each end of each split, decoded; the rest is for `mms-dist shards verify`. Remote shards would be
    fetched whole for it."""
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
                        f"{error}", fix=f"{index.fix}; 'mms-dist shards verify {whole.root}' reads all of them"
                    )
    finally:
        reader.close()


def _longest_seconds(config: Config, index: LanguageIndex) -> float:
    table = trainable(index.table("train"), max_seconds=config.data.max_seconds)
    return float(table.durations.max())


def _strangers(config: Config, codes: list[str], notes: Notes) -> None:
    for code in sorted(set(config.languages) - set(codes)):
        notes.fail(
            f"languages.{code} has settings of its own, but the run does not train it",
            "correct the code, or add it to data.languages and the shards",
        )
