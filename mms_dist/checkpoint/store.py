"""Checkpoints of all languages of a run, each language on its own.

    RUN/adapters/<lang>/step-00000200/{adapter.<lang>.safetensors, optimizer.safetensors, state.json, vocab.json,
                                       MANIFEST.json}
    RUN/adapters/<lang>/{last,best} -> step-00000200
    RUN/adapters/<lang>/damaged-step-00000100   kept aside for a look; nothing reads or deletes it

Names that begin with a dot are work in hand (`.staging-…`, `.replaced-…`, `.removing-…`); `recover` settles what
a killed run left of them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from time import perf_counter
from types import TracebackType
from typing import TypeVar

from mms_dist.checkpoint.files import writing_error
from mms_dist.checkpoint.folder import check_snapshot, folder_name, read_snapshot
from mms_dist.checkpoint.language_folder import LanguageFolder, PointerName
from mms_dist.checkpoint.snapshot import Damage, DamagedCheckpoint, Snapshot, check_language
from mms_dist.errors import CheckpointError

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class CheckpointStore:
    """Saves, verifies, finds and removes the checkpoints of a run's languages.

    Whatever is asked of one store happens in the order it was asked, on one thread of the store, so a load
    sees every save before it. Only one process may write a directory: hold a `RunLock` and call `recover`
    before the first save; other processes may read meanwhile.

    directory: RUN/adapters. keep: the newest whole checkpoints of a language that stay; what `best` points to
    stays as well. pending_limit: snapshots that `save_later` holds in memory before it makes the caller wait.
    """

    def __init__(self, directory: Path, *, keep: int, pending_limit: int = 16) -> None:
        if keep < 1:
            raise CheckpointError(f"found checkpoint.keep {keep}, expected 1 or more", fix="the newest one must stay")
        self.directory = Path(directory)
        self.keep = keep
        #: What was found damaged so far, in the order found, each once.
        self.damaged: list[Damage] = []
        #: Seconds that callers of `save_later` were kept: checking the snapshot and waiting for the disk.
        self.wait_seconds = 0.0
        #: Of writing one checkpoint, the slowest so far.
        self.longest_write_seconds = 0.0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._admitted = BoundedSemaphore(pending_limit)
        self._saves: list[Future[Path]] = []
        self._latest: dict[str, Future[Path]] = {}

    # -- saving -----------------------------------------------------------------------------------------------

    def save(self, snapshot: Snapshot, *, best: bool = False) -> Path:
        """Write one checkpoint, point `last` (and `best`, if so asked) to it, then drop the older ones.

        When this returns, the checkpoint is on the disk. Saving a step again replaces a whole one and puts a
        damaged one aside.

        Raises:
            CheckpointError: not finite, inconsistent, or not writable; everything older is whole.
        """
        self._raise_failed_save()
        check_snapshot(snapshot)
        return self._run(lambda: self._save(snapshot, best))

    def save_later(
        self, snapshot: Snapshot, *, best: bool = False, saved: Callable[[Path], None] | None = None
    ) -> None:
        """`save`, in the background. The snapshot's tensors belong to the store from now on: do not change them.

        At most one checkpoint of a language is on its way: this waits until the one before is on the disk, so that
        a kill never sets a language back by more than its last two. `saved` is called with the folder once it is
        on the disk, on the store's thread.

        Raises:
            CheckpointError: this snapshot cannot be saved; or an earlier one could not be written, and this one was
                not taken.
        """
        began = perf_counter()
        if (before := self._latest.pop(snapshot.language, None)) is not None:
            before.exception()  # waits; whether it failed is found below
        self._raise_failed_save()
        check_snapshot(snapshot)
        self._admitted.acquire()
        future = self._writer.submit(self._save_and_tell, snapshot, best, saved)
        future.add_done_callback(lambda _: self._admitted.release())
        self._saves.append(future)
        self._latest[snapshot.language] = future
        self.wait_seconds += perf_counter() - began

    def drain(self) -> None:
        """Wait until everything given to `save_later` is on the disk.

        Raises:
            CheckpointError: the first that could not be written; the others are among its notes.
        """
        saves, self._saves = self._saves, []
        problems = [problem for future in saves if (problem := future.exception()) is not None]
        if problems:
            for other in problems[1:]:
                problems[0].add_note(str(other))
            raise problems[0]

    def close(self) -> None:
        """`drain`, then end the store's thread; the store cannot be used afterwards."""
        try:
            self.drain()
        finally:
            self._writer.shutdown()

    def __enter__(self) -> CheckpointStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- reading ----------------------------------------------------------------------------------------------

    def languages(self) -> list[str]:
        """Codes of the languages that have a checkpoint, whole or not, in order."""
        return self._run(self._languages)

    def steps(self, language: str) -> list[int]:
        """Steps that have a checkpoint folder, whole or not, ascending."""
        return self._run(self._folder(language).steps)

    def pointed(self, language: str, name: PointerName) -> int | None:
        """The step that a pointer names; None if there is no such pointer or it hangs."""
        return self._run(lambda: self._folder(language).pointed(name))

    def load(self, language: str, *, step: int | None = None, pointer: PointerName | None = None) -> Snapshot:
        """A whole snapshot: of that step, or of what the pointer names, or the newest.

        A damaged one is appended to `damaged`. A pointer to a damaged one, and the newest when damaged, give way
        to the newest whole one; a step asked for by its number does not.

        Raises:
            CheckpointError: there is none, or none whole.
        """
        assert step is None or pointer is None, "ask for a step or a pointer"
        return self._run(lambda: self._load(language, step, pointer))

    def newest(self, language: str) -> Snapshot | None:
        """The newest whole snapshot; None if the language has no checkpoint at all.

        Raises:
            CheckpointError: it has some, and none is whole.
        """
        return self._run(lambda: self._load(language, None, None) if self._folder(language).steps() else None)

    # -- changing ---------------------------------------------------------------------------------------------

    def recover(self) -> list[str]:
        """Settle what a killed run left: unfinished folders go, a replacement cut in the middle is taken back,
        hanging pointers are fixed. Call it once, holding the run's lock, before the first save.

        Returns:
            What was done, a line for each thing.
        """
        return self._run(self._recover)

    def point(self, language: str, name: PointerName, step: int) -> None:
        """Let a pointer name this step.

        Raises:
            CheckpointError: there is no whole checkpoint of that step.
        """

        def change() -> None:
            self._load(language, step, None)
            self._folder(language).point(name, step)

        self._run(change)

    def roll_back(self, language: str, step: int) -> None:
        """Make this step the newest: `last` names it, later ones are deleted, and so is a `best` among them.

        Raises:
            CheckpointError: there is no whole checkpoint of that step; nothing was changed.
        """

        def change() -> None:
            self._load(language, step, None)
            self._folder(language).roll_back(step)

        self._run(change)

    def delete(self, language: str) -> None:
        """Remove a language's checkpoints, those kept aside as damaged too; nothing happens if it has none."""
        self._run(self._folder(language).delete)

    def copy(self, language: str, other_store: CheckpointStore) -> None:
        """Copy a language's whole checkpoints and its pointers into another run; there they appear all at once.

        Raises:
            CheckpointError: none is whole here, or the other run has that language already.
        """

        def change() -> None:
            whole = [step for step in self._folder(language).steps() if self._is_whole(language, step)]
            if not whole:
                raise CheckpointError(f"found no whole checkpoint of {language} in {self.directory} to copy")
            source, target = self._folder(language), other_store._folder(language)
            if other_store is self:
                target.copy_from(source, whole)
            else:
                other_store._run(lambda: target.copy_from(source, whole))

        self._run(change)

    # -- behind it: everything below runs on the store's own thread ----------------------------------------------

    def _run(self, work: Callable[[], _Result]) -> _Result:
        """Do it on the store's thread, after all that was asked before, and wait for it."""
        try:
            return self._writer.submit(work).result()
        except OSError as problem:
            raise CheckpointError(
                f"cannot work on the checkpoints in {self.directory}: {problem}",
                fix="make the folder readable and writable, or choose another run.directory",
            ) from problem

    def _raise_failed_save(self) -> None:
        failed = next((f for f in self._saves if f.done() and f.exception() is not None), None)
        self._saves = [f for f in self._saves if f is not failed and not (f.done() and f.exception() is None)]
        if failed is not None:
            failed.result()

    def _folder(self, language: str) -> LanguageFolder:
        return LanguageFolder(self.directory / check_language(language))

    def _languages(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        names = sorted(p.name for p in self.directory.iterdir() if p.is_dir() and not p.name.startswith("."))
        return [name for name in names if LanguageFolder(self.directory / name).steps()]

    def _save(self, snapshot: Snapshot, best: bool) -> Path:
        began, folder = perf_counter(), self._folder(snapshot.language)
        try:
            path = folder.save(snapshot, is_whole=lambda: self._is_whole(snapshot.language, snapshot.step))
            folder.point("last", snapshot.step)
            if best:
                folder.point("best", snapshot.step)
            self._retain(folder)
        except OSError as problem:
            raise writing_error(folder.path, 0, problem) from problem
        self.longest_write_seconds = max(self.longest_write_seconds, perf_counter() - began)
        return path

    def _save_and_tell(self, snapshot: Snapshot, best: bool, saved: Callable[[Path], None] | None) -> Path:
        path = self._save(snapshot, best)
        if saved is not None:
            saved(path)
        return path

    def _retain(self, folder: LanguageFolder) -> None:
        """Drop what is older than the newest `keep` that were read back whole just now, `best` excepted."""
        steps = folder.steps()
        if len(steps) <= self.keep:
            return
        language, best = folder.path.name, folder.pointed("best")
        whole = 0
        for step in reversed(steps):
            if whole >= self.keep:
                if step != best:
                    folder.remove(step)
            elif self._is_whole(language, step):
                whole += 1
            else:
                folder.put_aside(step)

    def _is_whole(self, language: str, step: int) -> bool:
        return self._try(language, step) is not None

    def _try(self, language: str, step: int) -> Snapshot | None:
        folder = self.directory / language / folder_name(step)
        try:
            return read_snapshot(folder)
        except DamagedCheckpoint as problem:
            # A reader beside a running writer may meet a folder that the writer has just dropped: not damage.
            if folder.exists():
                self._note(problem.damage)
            return None

    def _note(self, damage: Damage) -> None:
        if damage not in self.damaged:
            self.damaged.append(damage)
            log.warning("damaged checkpoint: %s", damage)

    def _load(self, language: str, step: int | None, pointer: PointerName | None) -> Snapshot:
        folder = self._folder(language)
        steps = folder.steps()
        known = len(self.damaged)
        if step is not None:
            if step not in steps:
                raise CheckpointError(
                    f"found no step {step} of {language} in {self.directory}", fix=f"there are {steps or 'none'}"
                )
            snapshot = self._try(language, step)
            if snapshot is None:
                raise CheckpointError(
                    f"step {step} of {language} is damaged: {self._reasons(folder)}",
                    fix=f"choose another step of {steps}",
                )
            return snapshot
        if not steps:
            raise CheckpointError(
                f"found no checkpoint of {language} in {self.directory}",
                fix=f"train it first, or choose one of {self._languages() or 'none'}",
            )
        for candidate in self._candidates(folder, pointer):
            snapshot = self._try(language, candidate)
            if snapshot is not None:
                return snapshot
        if len(self.damaged) == known and folder.steps() != steps:
            return self._load(language, step, pointer)  # All moved on under a reader: look again.
        raise CheckpointError(
            f"no checkpoint of {language} in {self.directory} is whole: {self._reasons(folder)}",
            fix=f"restore one from a backup, or remove {folder.path} to train the language from its start",
        )

    def _candidates(self, folder: LanguageFolder, pointer: PointerName | None) -> Iterator[int]:
        """The step pointed to, then all others from the newest."""
        first = None
        if pointer is not None:
            link = folder.path / pointer
            if not link.is_symlink() and not link.is_dir():
                fix = "none was evaluated yet: ask for 'last'" if pointer == "best" else "start the run again"
                raise CheckpointError(f"{folder.path} has no pointer {pointer!r}", fix=f"{fix}")
            first = folder.pointed(pointer)
            if first is None:
                named = os.readlink(link) if link.is_symlink() else "a step by its MANIFEST.json"
                self._note(Damage(link, f"names {named}, which is not there"))
            else:
                yield first
        yield from (step for step in reversed(folder.steps()) if step != first)

    def _reasons(self, folder: LanguageFolder) -> str:
        return "; ".join(str(d) for d in self.damaged if d.path.is_relative_to(folder.path))

    def _recover(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        done = []
        for path in sorted(self.directory.iterdir()):
            if path.name.startswith("."):
                done += LanguageFolder.sweep(path)
            elif path.is_dir():
                folder = LanguageFolder(path)
                done += folder.recover()
                if folder.pointed("last") is None:
                    whole = (step for step in reversed(folder.steps()) if self._is_whole(path.name, step))
                    if (newest := next(whole, None)) is not None:
                        folder.point("last", newest)
                        done.append(f"pointed {path / 'last'} to step {newest}")
        return done
