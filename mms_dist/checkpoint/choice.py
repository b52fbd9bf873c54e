"""Choose languages and checkpoints of a finished or running run: to evaluate, and to export."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.snapshot import Snapshot
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError, NothingToExport
from mms_dist.run_directory.quarantine import QuarantineMark, marked_languages, read_mark

UNTRAINED = "it has no checkpoint from after a training step"


def load_checkpoint(
    store: CheckpointStore, language: str, pointer: PointerName, *, allow_initial: bool = True
) -> tuple[Snapshot, str]:
    """Load the checkpoint that a reader of the run wants, and return it with its name: `best`, `last` or `newest`.

    A language that was never evaluated has no `best`; its `last` is loaded instead. If the wanted checkpoint is
    damaged, the newest intact one is loaded.

    Args:
        allow_initial: whether the checkpoint from before the first step may be loaded. If not, and it is the best, the
            last one is loaded instead.

    Raises:
        CheckpointError: there is no complete checkpoint that may be loaded.
    """
    evaluated = store.pointed(language, "best") is not None
    wanted: PointerName = pointer if pointer == "last" or evaluated else "last"
    step = store.pointed(language, wanted)
    if step == 0 and wanted == "best" and not allow_initial:
        wanted, step = "last", store.pointed(language, "last")
    snapshot = store.load(language) if step is None else store.load(language, pointer=wanted)
    if snapshot.step == 0 and not allow_initial:
        raise CheckpointError(
            f"the only complete checkpoint of {language} is from before its first training step",
            fix="leave it out with --languages, or train it further",
        )
    return snapshot, wanted if snapshot.step == step else "newest"


def choose_languages(present: Sequence[str], wanted: Sequence[str] | None, adapters: Path) -> list[str]:
    """Return the wanted languages, sorted; all that are `present` if None.

    Raises:
        CheckpointError: none is present, or a wanted one is not.
    """
    if not present:
        raise CheckpointError(f"found no checkpoint in {adapters}", fix="pass the folder of a trained run")
    for code in wanted or ():
        if code not in present:
            near = difflib.get_close_matches(code, present, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise CheckpointError(
                f"found no checkpoint of {code!r} in {adapters}", fix=f"{hint}choose from {', '.join(present)}"
            )
    return sorted(set(wanted or present))


@dataclass
class ExportChoice:
    """The choice of checkpoints to export; `export_run` describes the fields."""

    store: CheckpointStore
    pointer: PointerName
    include_quarantined: bool
    start_is_trained: Callable[[str], bool]
    marks: dict[str, QuarantineMark] = field(default_factory=dict)
    """The marks of the chosen languages that are in quarantine."""

    def select(self, languages: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
        """Return the languages to export, and those that are left out, with the reason.

        Raises:
            CheckpointError: there are none, one is unknown, or a named one would be left out.
            NothingToExport: all are left out.
        """
        present = sorted({*self.store.languages(), *marked_languages(self.store.directory)})
        chosen = choose_languages(present, languages, self.store.directory)
        left_out = {language: reason for language in chosen if (reason := self._reason_against(language))}
        if languages and left_out:
            code, reason = next(iter(left_out.items()))
            raise CheckpointError(f"{code} cannot be exported: {reason}", fix=self._fix(code))
        if len(left_out) == len(chosen):
            shown = "; ".join(f"{code}: {reason}" for code, reason in list(left_out.items())[:5])
            more = f"; and {len(left_out) - 5:,} more" if len(left_out) > 5 else ""
            run = self.store.directory.parent
            flag = ", or export quarantined languages with --include-quarantined" if self._any_steps(left_out) else ""
            raise NothingToExport(
                f"nothing was exported from {run}, because no language is trained ({shown}{more})",
                fix=f"see each language's state with `mms-dist report {run}`{flag}",
            )
        return [language for language in chosen if language not in left_out], left_out

    def load(self, language: str) -> tuple[Snapshot, str]:
        """Load the snapshot to export, and return it with its name.

        If training has not improved a language, its best checkpoint is its initial adapter. If that was random, the
        last checkpoint is used instead.
        """
        return load_checkpoint(self.store, language, self.pointer, allow_initial=self.start_is_trained(language))

    def _reason_against(self, language: str) -> str | None:
        untrained = max(self.store.steps(language), default=0) == 0
        mark = read_mark(self.store.directory, language)
        if mark is not None:
            self.marks[language] = mark
            if untrained or not self.include_quarantined:
                return f"in quarantine {mark.line}" + (f", and {UNTRAINED}" if untrained else "")
        return UNTRAINED if untrained else None

    def _fix(self, code: str) -> str:
        if max(self.store.steps(code), default=0) == 0:
            return "leave it out of --languages, or train it first"
        return "export its last good checkpoint anyway with --include-quarantined, or leave it out of --languages"

    def _any_steps(self, languages: Sequence[str] | dict[str, str]) -> bool:
        return any(max(self.store.steps(language), default=0) > 0 for language in languages)
