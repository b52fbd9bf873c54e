"""Store the checkpoints of all languages of a run, separately for each language.

    RUN/adapters/<lang>/step-00000200/{adapter.<lang>.safetensors, optimizer.safetensors, state.json, vocab.json,
                                       MANIFEST.json}
    RUN/adapters/<lang>/{last,best} -> step-00000200
    RUN/adapters/<lang>/damaged-step-00000100   kept for inspection; nothing reads or deletes it

Names that begin with a dot are in progress (`.staging-…`, `.replaced-…`, `.removing-…`); `recover` cleans up those that
a killed run left.
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

from mms_dist.checkpoint.checkpoint_folder import check_snapshot, folder_name, read_snapshot
from mms_dist.checkpoint.language_folder import LanguageFolder, PointerName, writing_error
from mms_dist.checkpoint.snapshot import Damage, DamagedCheckpoint, Snapshot, check_language
from mms_dist.errors import CheckpointError

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class CheckpointStore:
    """Save, verify, find and remove the checkpoints of a run's languages.

    A store performs all calls in order on one thread, so a load sees every earlier save. Only one process may write to
    a directory: hold a `RunLock` and call `recover` before the first save. Other processes may read meanwhile.

    directory: RUN/adapters. keep: number of newest complete checkpoints to keep per language; the one `best` points to
    is kept, too. pending_limit: number of snapshots that `save_later` holds in memory before the caller must wait.
    """

    def __init__(self, directory: Path, *, keep: int, pending_limit: int = 16) -> None:
        if keep < 1:
            raise CheckpointError(
                f"found checkpoint.keep {keep}, expected 1 or more: the newest checkpoint must stay",
                fix="set checkpoint.keep to 1 or more",
            )
        self.directory = Path(directory)
        self.keep = keep
        #: All damage found so far, in order, without repetitions.
        self.damaged: list[Damage] = []
        #: Seconds that callers of `save_later` waited, for checking the snapshot and for the disk.
        self.wait_seconds = 0.0
        #: Seconds of the slowest checkpoint write so far.
        self.longest_write_seconds = 0.0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._admitted = BoundedSemaphore(pending_limit)
        self._saves: list[Future[Path]] = []
        self._latest: dict[str, Future[Path]] = {}

    # -- saving -----------------------------------------------------------------------------------------------

    def save(self, snapshot: Snapshot, *, best: bool = False) -> Path:
        """Write one checkpoint, point `last` (and with `best` also `best`) to it, then remove old ones.

        When this returns, the checkpoint is on the disk. Saving a step again replaces a complete checkpoint and renames
        a damaged one.

        Raises:
            CheckpointError: the snapshot is not finite or inconsistent, or cannot be written; all older checkpoints are
                still complete.
        """
        self._raise_failed_save()
        check_snapshot(snapshot)
        return self._run(lambda: self._save(snapshot, best))

    def save_later(
        self, snapshot: Snapshot, *, best: bool = False, saved: Callable[[Path], None] | None = None
    ) -> None:
        """Save in the background, like `save`. The store now owns the snapshot's tensors: do not change them.

        At most one checkpoint per language is pending: this waits until the previous one is on the disk, so a kill
        loses at most a language's last two checkpoints. `saved` is called on the store's thread with the folder once it
        is on the disk.

        Raises:
            CheckpointError: this snapshot cannot be saved; or an earlier one could not be written, and this one was not
                accepted.
        """
        began = perf_counter()
        if (before := self._latest.pop(snapshot.language, None)) is not None:
            before.exception()  # waits; a failure is raised below
        self._raise_failed_save()
        check_snapshot(snapshot)
        self._admitted.acquire()
        future = self._writer.submit(self._save_and_notify, snapshot, best, saved)
        future.add_done_callback(lambda _: self._admitted.release())
        self._saves.append(future)
        self._latest[snapshot.language] = future
        self.wait_seconds += perf_counter() - began

    def drain(self) -> None:
        """Wait until everything given to `save_later` is on the disk.

        Raises:
            CheckpointError: the first failed write; other failures are added as notes.
        """
        saves, self._saves = self._saves, []
        problems = [problem for future in saves if (problem := future.exception()) is not None]
        if problems:
            for other in problems[1:]:
                problems[0].add_note(str(other))
            raise problems[0]

    def close(self) -> None:
        """Call `drain`, then end the store's thread; the store cannot be used afterwards."""
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
        """The sorted codes of the languages that have a checkpoint, complete or not."""
        return self._run(self._languages)

    def steps(self, language: str) -> list[int]:
        """The steps that have a checkpoint folder, complete or not, ascending."""
        return self._run(self._folder(language).steps)

    def pointed(self, language: str, name: PointerName) -> int | None:
        """The step that a pointer names; None if the pointer does not exist or is dangling."""
        return self._run(lambda: self._folder(language).pointed(name))

    def load(self, language: str, *, step: int | None = None, pointer: PointerName | None = None) -> Snapshot:
        """Load a complete snapshot: of the given step, of the step a pointer names, or the newest.

        Damaged checkpoints are appended to `damaged`. If a pointer's or the newest checkpoint is damaged, the newest
        complete one is loaded instead; a step given by its number has no such fallback.

        Raises:
            CheckpointError: there is no checkpoint, or no complete one.
        """
        assert step is None or pointer is None, "ask for a step or a pointer"
        return self._run(lambda: self._load(language, step, pointer))

    def newest(self, language: str) -> Snapshot | None:
        """Load the newest complete snapshot; None if the language has no checkpoint at all.

        Raises:
            CheckpointError: it has checkpoints, but none is complete.
        """
        return self._run(lambda: self._load(language, None, None) if self._folder(language).steps() else None)

    # -- changing ---------------------------------------------------------------------------------------------

    def recover(self) -> list[str]:
        """Clean up after a killed run: remove unfinished folders, undo interrupted replacements, fix dangling pointers.

        Call it once, holding the run's lock, before the first save.

        Returns:
            What was done, one line per action.
        """
        return self._run(self._recover)

    def point(self, language: str, name: PointerName, step: int) -> None:
        """Point a pointer to this step.

        Raises:
            CheckpointError: there is no complete checkpoint of that step.
        """

        def change() -> None:
            self._load(language, step, None)
            self._folder(language).point(name, step)

        self._run(change)

    def roll_back(self, language: str, step: int) -> None:
        """Make this step the newest: point `last` to it, and delete later steps and a `best` that points to one.

        Raises:
            CheckpointError: there is no complete checkpoint of that step; nothing was changed.
        """

        def change() -> None:
            self._load(language, step, None)
            self._folder(language).roll_back(step)

        self._run(change)

    def delete(self, language: str) -> None:
        """Delete a language's checkpoints, including damaged ones, if it has any."""
        self._run(self._folder(language).delete)

    def copy(self, language: str, other_store: CheckpointStore) -> None:
        """Copy a language's complete checkpoints and its pointers to another run, in one atomic move.

        Raises:
            CheckpointError: no checkpoint is complete, or the other run already has that language.
        """

        def change() -> None:
            complete = [step for step in self._folder(language).steps() if self._is_complete(language, step)]
            if not complete:
                raise CheckpointError(f"found no complete checkpoint of {language} in {self.directory} to copy")
            source, target = self._folder(language), other_store._folder(language)
            if other_store is self:
                target.copy_from(source, complete)
            else:
                other_store._run(lambda: target.copy_from(source, complete))

        self._run(change)

    # -- internals: everything below runs on the store's own thread ----------------------------------------------

    def _run(self, work: Callable[[], _Result]) -> _Result:
        """Run `work` on the store's thread, after all earlier calls, and wait for it."""
        try:
            return self._writer.submit(work).result()
        except OSError as problem:
            raise CheckpointError(
                f"cannot read or change the checkpoints in {self.directory}: {problem}",
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
            path = folder.save(snapshot, is_complete=lambda: self._is_complete(snapshot.language, snapshot.step))
            folder.point("last", snapshot.step)
            if best:
                folder.point("best", snapshot.step)
            self._retain(folder)
        except OSError as problem:
            raise writing_error(folder.path, 0, problem) from problem
        self.longest_write_seconds = max(self.longest_write_seconds, perf_counter() - began)
        return path

    def _save_and_notify(self, snapshot: Snapshot, best: bool, saved: Callable[[Path], None] | None) -> Path:
        path = self._save(snapshot, best)
        if saved is not None:
            saved(path)
        return path

    def _retain(self, folder: LanguageFolder) -> None:
        """Remove checkpoints older than the newest `keep` complete ones, except `best`; verify those `keep` first."""
        steps = folder.steps()
        if len(steps) <= self.keep:
            return
        language, best = folder.path.name, folder.pointed("best")
        complete = 0
        for step in reversed(steps):
            if complete >= self.keep:
                if step != best:
                    folder.remove(step)
            elif self._is_complete(language, step):
                complete += 1
            else:
                folder.put_aside(step)

    def _is_complete(self, language: str, step: int) -> bool:
        return self._try(language, step) is not None

    def _try(self, language: str, step: int) -> Snapshot | None:
        folder = self.directory / language / folder_name(step)
        try:
            return read_snapshot(folder)
        except DamagedCheckpoint as problem:
            # While another process writes, a reader may find a folder that was just removed, which is not damage.
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
                    f"found no step {step} of {language} in {self.directory}",
                    fix=f"choose one of {steps}" if steps else "train the language first",
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
            return self._load(language, step, pointer)  # a writer changed the folder meanwhile: look again
        raise CheckpointError(
            f"no checkpoint of {language} in {self.directory} is complete: {self._reasons(folder)}",
            fix=f"restore one from a backup, or remove {folder.path} to train the language from scratch",
        )

    def _candidates(self, folder: LanguageFolder, pointer: PointerName | None) -> Iterator[int]:
        """Yield the step that the pointer names, then all others, newest first."""
        first = None
        if pointer is not None:
            link = folder.path / pointer
            if not link.is_symlink() and not link.is_dir():
                fix = "use 'last': none was evaluated yet" if pointer == "best" else "start the run again"
                raise CheckpointError(f"{folder.path} has no pointer {pointer!r}", fix)
            first = folder.pointed(pointer)
            if first is None:
                named = os.readlink(link) if link.is_symlink() else "the step in its MANIFEST.json"
                self._note(Damage(link, f"points to {named}, which does not exist"))
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
                # A kill between the rename of a checkpoint and the move of `last` leaves `last` at an earlier step, or
                # at none. A run resumes from the newest one; if that is the final one, `last` would never move again.
                last = folder.pointed("last")
                later = (step for step in reversed(folder.steps()) if last is None or step > last)
                newest = next((step for step in later if self._is_complete(path.name, step)), None)
                if newest is not None:
                    folder.point("last", newest)
                    done.append(f"pointed {path / 'last'} to step {newest}")
        return done
