"""Convert a snapshot to the files of a checkpoint folder, `step-%08d`, and back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from mms_dist.checkpoint.adapter_file import AdapterMismatch, adapter_filename, check_adapter, serialize_adapter
from mms_dist.checkpoint.manifest import read_folder
from mms_dist.checkpoint.snapshot import DamagedCheckpoint, Snapshot, check_language
from mms_dist.errors import CheckpointError
from mms_dist.finite import all_finite
from mms_dist.run_directory.paths import OPTIMIZER_NAME, STATE_NAME, VOCABULARY_NAME

_FOLDER = re.compile(r"step-(\d{8,})")


def folder_name(step: int) -> str:
    """`step-00000200`."""
    return f"step-{step:08d}"


def parse_step(name: str) -> int | None:
    """The step in a checkpoint folder's name; None for any other name."""
    match = _FOLDER.fullmatch(name)
    return int(match[1]) if match and folder_name(int(match[1])) == name else None


def check_snapshot(snapshot: Snapshot) -> None:
    """Check before saving that a snapshot can be loaded again, so that a bad one never replaces a good one.

    Raises:
        CheckpointError: it cannot; names the language, what was found and what was expected.
    """
    check_language(snapshot.language)
    try:
        if snapshot.step < 0:
            raise AdapterMismatch(f"found step {snapshot.step}, expected 0 or more")
        _check_contents(snapshot)
    except AdapterMismatch as problem:
        raise CheckpointError(
            f"cannot save the snapshot of {snapshot.language} at step {snapshot.step}: {problem.found}", problem.fix
        ) from problem


def snapshot_files(snapshot: Snapshot) -> dict[str, bytes]:
    """The name and bytes of every file except the manifest."""
    optimizer = {name: tensor.contiguous() for name, tensor in snapshot.optimizer.items()}
    return {
        adapter_filename(snapshot.language): serialize_adapter(snapshot.adapter),
        OPTIMIZER_NAME: safetensors.torch.save(optimizer, metadata={"format": "pt"}),
        STATE_NAME: _json({"language": snapshot.language, "step": snapshot.step, "state": snapshot.state}),
        VOCABULARY_NAME: _json(snapshot.vocabulary),
    }


def read_snapshot(folder: Path) -> Snapshot:
    """Read a checkpoint folder, and verify every byte and that its files belong together.

    Raises:
        DamagedCheckpoint: names the file and what is wrong with it.
    """
    manifest, contents = read_folder(folder)
    language, step = manifest.language, manifest.step
    if (language, step) != (folder.parent.name, parse_step(folder.name)):
        raise DamagedCheckpoint(folder, f"contains step {step} of {language!r}; it was renamed or moved here")
    expected = {adapter_filename(language), OPTIMIZER_NAME, STATE_NAME, VOCABULARY_NAME}
    if contents.keys() != expected:
        raise DamagedCheckpoint(folder, f"found {sorted(contents)}, expected {sorted(expected)}")
    state = _parse(folder / STATE_NAME, contents[STATE_NAME])
    if not isinstance(state, dict) or (state.get("language"), state.get("step")) != (language, step):
        raise DamagedCheckpoint(folder / STATE_NAME, f"is not the state of {language} at step {step}")
    if not isinstance(state.get("state"), dict):
        raise DamagedCheckpoint(folder / STATE_NAME, "contains no state")
    snapshot = Snapshot(
        language=language,
        step=step,
        adapter=_tensors(folder / adapter_filename(language), contents),
        optimizer=_tensors(folder / OPTIMIZER_NAME, contents),
        state=state["state"],
        vocabulary=_parse(folder / VOCABULARY_NAME, contents[VOCABULARY_NAME]),
    )
    try:
        _check_contents(snapshot)
    except AdapterMismatch as problem:
        raise DamagedCheckpoint(folder, problem.found) from problem
    return snapshot


def _check_contents(snapshot: Snapshot) -> None:
    shape = check_adapter(snapshot.adapter)
    _check_vocabulary(snapshot.vocabulary, snapshot.language, shape.vocabulary_size)
    for name, tensor in snapshot.optimizer.items():
        if tensor.is_floating_point() and not all_finite(tensor):
            raise AdapterMismatch(f"found NaN or infinity in the optimizer's {name}")


def _check_vocabulary(vocabulary: object, language: str, head_rows: int) -> None:
    """Check that a nested vocabulary belongs to this language and to a head with this many rows.

    Raises:
        AdapterMismatch: it does not; says what was found and what was expected.
    """
    if not isinstance(vocabulary, dict) or set(vocabulary) != {language}:
        found = sorted(vocabulary) if isinstance(vocabulary, dict) else type(vocabulary).__name__
        raise AdapterMismatch(f"found a vocabulary of {found}, expected one of [{language!r}]")
    tokens = vocabulary[language]
    if not isinstance(tokens, dict) or not all(type(number) is int for number in tokens.values()):
        raise AdapterMismatch(f"the vocabulary of {language} does not map tokens to ids")
    if sorted(tokens.values()) != list(range(len(tokens))):
        raise AdapterMismatch(f"the ids in the vocabulary of {language} are not 0 … {len(tokens) - 1}, each once")
    if len(tokens) != head_rows:
        raise AdapterMismatch(
            f"found {len(tokens)} tokens in the vocabulary of {language}, but a head of {head_rows} rows"
        )


def _tensors(path: Path, contents: dict[str, bytes]) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(contents[path.name])
    except (SafetensorError, ValueError, KeyError, TypeError) as problem:  # TypeError: a dtype that torch lacks
        raise DamagedCheckpoint(path, f"is not a safetensors file: {problem}") from problem


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def _parse(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise DamagedCheckpoint(path, f"is not JSON: {problem}") from problem
