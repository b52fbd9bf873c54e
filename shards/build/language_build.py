"""Build the shards of one language and put them into place. A build can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from shards import storage
from shards.audio.containers.pyav_formats import pyav_version
from shards.audio.extensions import PYAV_EXTENSIONS
from shards.build.candidates import Candidate, LanguagePlan
from shards.build.encode import Measured, encode_recordings, measure_recordings
from shards.build.flagged_candidates import flagged_candidates
from shards.build.language_output import LanguageOutput
from shards.build.output_folder import TargetError
from shards.build.split_writer import SplitWriter
from shards.drops import NO_UTTERANCES, Drops, Rejected, no_training_utterances
from shards.flags.names import FlagOptions
from shards.index.flag_parts import flag_parts, scripts_of
from shards.index.parts import ShardPart
from shards.index.write_index import index_files
from shards.limits import Limits
from shards.process_pool import WorkerPool
from shards.schema import INDEX_NAME, SCHEMA_VERSION
from shards.sources.archived_audio import copied_recordings
from shards.splits import SPEAKER_ONLY, SPLITS
from shards.vocabulary_choice import VocabularyOptions, choose_vocabulary

Result = TypeVar("Result")

_TASK_UTTERANCES = 8
_TASK_SEGMENTS = 256
# Facts of a candidate that count only where there are any, so that what was built before they existed is not rebuilt.
_OPTIONAL = ("tags", "channel", "align_score", "align_model")
_PYAV_ENDINGS = tuple(f".{extension}" for extension in PYAV_EXTENSIONS)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options that, together with the source, determine the bytes of the shards."""

    limits: Limits = field(default_factory=Limits)
    shard_utterances: int = 1000
    shard_bytes: int = 256 << 20
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    flags: FlagOptions = field(default_factory=FlagOptions)


class BuildProgress:
    """Progress callbacks of a build. This base class does nothing."""

    def language(self, language: str, *, done: int, total: int) -> None:
        """Called when a language begins; `done` of its `total` utterances are in shards of an earlier run."""

    def measuring(self, language: str) -> None:
        """Called before all utterances of a language are decoded a first time, to find those to drop."""

    def emptied(self, language: str, split: str, utterances: int) -> None:
        """Called when all `utterances` of dev or test that can be read are dropped for their flags."""

    def advance(self, utterances: int) -> None:
        """Called when `utterances` more utterances have been decoded."""

    def finished(self, language: str, index: dict[str, Any], *, reused: bool) -> None:
        """Called when a language's shards are in place."""


def check_target(output: LanguageOutput, language: str, *, force: bool) -> None:
    """Check that the place of a language is empty or holds shards that a build may replace.

    Raises:
        TargetError: it holds anything else, such as tars made by another tool.
    """
    if not output.holds_files() or output.is_interrupted():
        return
    made = _made_by(output.index())
    if made is None and output.record() is not None:
        # It was built here once, but its present files may come from elsewhere. So the user has to decide.
        if force:
            return
        raise TargetError(
            f"{storage.join(output.place, INDEX_NAME)} is missing or damaged",
            fix=f"rebuild it with --lang {language} --force, which replaces everything in that folder",
        )
    if made is None or made.get("indexed"):
        raise TargetError(
            f"{output.place} contains files that 'shards build' did not write",
            fix="move them away, or choose another folder for the shards",
        )


class LanguageBuild:
    """Builds one language: tar after tar is staged, then all of them are put into place."""

    def __init__(self, plan: LanguagePlan, output: LanguageOutput, options: BuildOptions) -> None:
        self.plan = plan
        self.output = output
        self.options = options
        self.fingerprint = _fingerprint(plan, options)
        self.state = {"fingerprint": self.fingerprint, "inputs": _inputs_fingerprint(plan)}

    def finished_index(self) -> dict[str, Any] | None:
        """Return the content of `index.json` if it was built from this source and no file is missing; else None."""
        if self.output.record() != self.state:
            return None
        index = self.output.index()
        if index is None or (_made_by(index) or {}).get("fingerprint") != self.fingerprint:
            return None
        return index if self.output.matches(index) else None

    def run(self, pool: WorkerPool, progress: BuildProgress) -> dict[str, Any]:
        """Decode and write all splits, then put the language into place.

        Raises:
            SourceError: no training utterance is left, or no character of their text is in the vocabulary.
        """
        counts = Counter(character for one in self.plan.candidates["train"] for character in one.text)
        choose_vocabulary(self.plan.language, counts, self.options.vocabulary)  # fail before the audio is decoded
        self.output.begin(self.state)
        flagged = self._flagged(pool, progress) if self.options.flags.dropped else {}
        writers = {split: self._writer(split) for split in SPLITS}
        copies = copied_recordings(
            (one.audio for split, writer in writers.items() for one in self.plan.candidates[split][writer.consumed :]),
            self.output.copies,
        )
        done = sum(writer.consumed for writer in writers.values())
        progress.language(self.plan.language, done=done, total=self.plan.total)
        for split, writer in writers.items():
            left = [
                replace(one, audio=copies[one.audio]) if one.audio in copies else one
                for one in self.plan.candidates[split][writer.consumed :]
            ]
            try:
                encode = partial(encode_recordings, limits=self.options.limits)
                results = _each_candidate(pool, encode, [one for one in left if one.key not in flagged])
                for candidate in left:
                    writer.add(candidate, flagged.get(candidate.key) or next(results))
                    progress.advance(1)
                writer.close()
            finally:
                writer.abandon()
        return self._publish(writers)

    def _flagged(self, pool: WorkerPool, progress: BuildProgress) -> dict[str, Rejected]:
        """Decode and measure all candidates before any is written; return those to drop for their flags, by key."""
        everyone = [(split, one) for split in SPLITS for one in self.plan.candidates[split]]
        copies = copied_recordings((one.audio for _, one in everyone), self.output.copies)
        progress.measuring(self.plan.language)
        here = [replace(one, audio=copies.get(one.audio, one.audio)) for _, one in everyone]
        results = _each_candidate(pool, partial(measure_recordings, limits=self.options.limits), here)
        measured: list[tuple[str, Candidate, Measured]] = []
        for (split, candidate), result in zip(everyone, results, strict=True):
            progress.advance(1)
            if isinstance(result, Measured):
                measured.append((split, candidate, result))
        flagged = flagged_candidates(self.plan, measured, self.options.flags)
        for split, count in Counter(split for split, _, _ in measured).items():
            if split != "train" and all(one.key in flagged for where, one, _ in measured if where == split):
                progress.emptied(self.plan.language, split, count)
        return flagged

    def _writer(self, split: str) -> SplitWriter:
        return SplitWriter(
            self.output,
            language=self.plan.language,
            split=split,
            shard_utterances=self.options.shard_utterances,
            shard_bytes=self.options.shard_bytes,
        )

    def _publish(self, writers: dict[str, SplitWriter]) -> dict[str, Any]:
        parts: list[ShardPart] = [part for split in SPLITS for part in writers[split].parts]
        drops = Drops(self.plan.drops.as_dict())
        for split in SPLITS:
            for part in writers[split].parts:
                drops.merge(part.drops)
            drops.merge(writers[split].tail_drops)
        if not writers["train"].parts:
            self.output.discard()
            held_out = sum(part.info.samples for part in parts)
            raise no_training_utterances(self.plan.language, drops, held_out=held_out)
        build = {"fingerprint": self.fingerprint, "options": _options(self.plan, self.options)}
        texts = {one.key: one.text for candidates in self.plan.candidates.values() for one in candidates}
        part_texts = [[texts[key] for key in part.rows["key"]] for part in parts]
        flags = flag_parts(self.plan.language, parts, part_texts, self.options.flags, scripts_of(self.plan.rules))
        index, files = index_files(
            self.plan.language, parts, drops, build=build, flags=flags, vocabulary=self.options.vocabulary
        )
        self.output.publish([part.info.name for part in parts], files, self.state)
        return index


def _each_candidate(
    pool: WorkerPool, work: Callable[[list[Candidate]], list[Result]], candidates: Sequence[Candidate]
) -> Iterator[Result]:
    """Yield the result of every candidate, in order, whatever the number of workers."""
    for results in pool.in_order(work, _tasks(candidates)):
        yield from results


def _tasks(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Group candidates into tasks of a few utterances.

    Segments of one recording stay together, within a limit, and so do the recordings of a block.
    """
    task: list[Candidate] = []
    for candidate in candidates:
        if len(task) >= (_TASK_SEGMENTS if task and _together(task[-1], candidate) else _TASK_UTTERANCES):
            yield task
            task = []
        task.append(candidate)
    if task:
        yield task


def _together(one: Candidate, other: Candidate) -> bool:
    if one.audio == other.audio:
        return True
    first, second = one.audio.neighbours, other.audio.neighbours
    return first is not None and second is not None and first.block == second.block


def _options(plan: LanguagePlan, options: BuildOptions) -> dict[str, Any]:
    return {
        "min_seconds": options.limits.min_seconds,
        "max_seconds": options.limits.max_seconds,
        "shard_utterances": options.shard_utterances,
        "shard_bytes": options.shard_bytes,
        "text_rules": plan.rules.as_dict(),
        **({"vocabulary": chosen} if (chosen := options.vocabulary.fingerprint(plan.language)) else {}),
        **({"split_by": plan.split_by} if plan.split_by == SPEAKER_ONLY else {}),
        **options.flags.choice(),
    }


def _fingerprint(plan: LanguagePlan, options: BuildOptions) -> str:
    """Hash everything that determines the shards' bytes, except the recordings themselves."""
    import soundfile
    import soxr

    digest = hashlib.blake2b(digest_size=16)
    versions = {"schema": SCHEMA_VERSION, "sndfile": soundfile.__libsndfile_version__, "soxr": soxr.__version__}
    names_of_all = (one.name for candidates in plan.candidates.values() for one in candidates)
    if any(name.lower().endswith(_PYAV_ENDINGS) for name in names_of_all):
        versions["pyav"] = pyav_version()
    drops = {reason: entry for reason, entry in plan.drops.as_dict().items() if reason not in NO_UTTERANCES}
    for content in (versions, _options(plan, options), drops):
        digest.update(json.dumps(content, sort_keys=True).encode())
    # Without `audio`, the path on this machine. The name of a part is in `name`.
    names = [column.name for column in fields(Candidate) if column.name not in ("audio", "part", *_OPTIONAL)]
    for split, candidates in plan.candidates.items():
        for candidate in candidates:
            facts = [getattr(candidate, name) for name in names]
            if candidate.tags:
                facts.append(dict(candidate.tags))
            facts += [getattr(candidate, name) for name in _OPTIONAL[1:] if getattr(candidate, name) is not None]
            digest.update(json.dumps([split, *facts]).encode())
    return digest.hexdigest()


def _inputs_fingerprint(plan: LanguagePlan) -> str:
    """Hash what shows whether a recording was replaced: for a file, its path, size and modification time."""
    digest = hashlib.blake2b(digest_size=16)
    recordings = {candidate.audio for candidates in plan.candidates.values() for candidate in candidates}
    for recording in sorted(recordings, key=lambda recording: Path(str(recording)).parts):
        digest.update(recording.stamp() + b"\n")
    return digest.hexdigest()


def _made_by(index: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the `build` entry of an index, which says how the shards were made; None if there is none."""
    made = (index or {}).get("build")
    return made if isinstance(made, dict) else None
