"""Whatever a run's files say, commands read them, pass them over or refuse them; none ends in a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from mms_dist.checkpoint.checkpoint_folder import folder_name
from mms_dist.checkpoint.manifest import CheckpointManifest
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config.load import load_config
from mms_dist.errors import MmsDistError
from mms_dist.monitor.events import EventLog
from mms_dist.monitor.run_reader import as_json, read_run
from mms_dist.monitor.run_status import read_run_status
from mms_dist.monitor.run_status_view import show_run_status
from mms_dist.publishing.export import export_run
from mms_dist.run_directory.paths import MANIFEST_NAME, QUARANTINE_NAME
from mms_dist.run_directory.status_file import begin
from mms_dist.training.progress import Progress
from mms_dist.training.restore import read_quarantine
from tests.checkpoint_samples import sample
from tests.monitor_samples import Clock, MetricsWriter

FILES = ("config.yaml", "status.json", "events.jsonl", "metrics.jsonl", f"adapters/ron/{QUARANTINE_NAME}")
INSIDE = ("state.json", "vocab.json", "adapter.ron.safetensors", "optimizer.safetensors", "MANIFEST.json")
BOUNDED = settings(
    max_examples=45,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
EXTREME = st.sampled_from(
    [True, False, None, -1, 0, 10**30, 1e308, -0.5, "", "x", "nan", [], {}, [[]], "[bold]:zero:", "\ud800"]
)
VALUES = st.one_of(EXTREME, st.integers(), st.text(max_size=8), st.floats(allow_nan=True))
BYTES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b"[" * 100_000, b"\xff\xfe{\x00", b"null", b"{}\n{}", b"9" * 5_000, b'{"a": NaN}', b"\x00" * 50]
    ),
)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two checkpoints of a language, and each of the files that commands read."""
    run = tmp_path_factory.mktemp("whole") / "run"
    state = {**Progress(language="ron", step=2, round=2).to_state(), "base": "b", "stream": "s"}
    with CheckpointStore(run / "adapters", keep=2) as store:
        for step in (1, 2):
            store.save(sample(step=step, state=state), best=step == 2)
    with contextlib.closing(EventLog(run / "events.jsonl")) as log:
        log.write("run_started", round=0, languages=["ron"])
        log.write("admitted", round=0, language="ron", step=0, steps=9, utterances=3, audio_seconds=30.0)
        log.write("evaluated", round=1, language="ron", step=1, cer=0.5, wer=1.0, utterances=3, best=True)
        log.write("checkpoint_saved", round=2, language="ron", step=2, best=False)
        log.write("quarantined", round=2, language="ron", step=2, reason="the loss is [nan] :zero:")
    MetricsWriter(str(run / "metrics.jsonl"), ("ron",), clock=Clock(time.time())).rounds(1, 9).close()
    begin(run, processes=1, automatic=False, allowed=3)
    (run / "config.yaml").write_text("optim: {steps: 9, warmup_steps: 0}\nrun: {directory: r}\n")
    return run


def look_at(run: Path) -> None:
    """Read the run as report, status, a resume, eval and export do, and print what is printed of it."""
    console = Console(file=io.StringIO(), width=100, emoji=False)

    def report() -> None:
        summary, history = read_run(run)
        json.dumps(as_json(summary, history), allow_nan=False)

    def status() -> None:
        run_status = read_run_status(run)
        json.dumps(run_status.as_dict(), allow_nan=False)
        show_run_status(run_status, console)

    def resume() -> None:
        begin(run, processes=1, automatic=True, allowed=3)
        MetricsWriter(str(run / "metrics.jsonl"), ("ron",)).rounds(3, 4).close()

    def checkpoints() -> None:
        read_quarantine(run / "adapters", "ron")
        with CheckpointStore(run / "adapters", keep=1) as store:
            store.recover()
            snapshot = store.newest("ron")
        if snapshot is not None:
            with contextlib.suppress(KeyError, TypeError, ValueError):  # which `restore` takes for another version's
                Progress.from_state(snapshot.state)

    def export() -> None:
        export_run(run, run / "out", base_path=str(run), adapters_only=True)

    for command in (report, status, resume, lambda: load_config(run / "config.yaml"), checkpoints, export):
        with contextlib.suppress(MmsDistError):
            command()
    assert not [path.name for path in run.iterdir() if path.name.startswith((".staging", ".out"))]


def copied(whole: Path, folder: Path) -> Path:
    shutil.rmtree(folder / "run", ignore_errors=True)
    return Path(shutil.copytree(whole, folder / "run", symlinks=True))


@BOUNDED
@given(name=st.sampled_from(FILES + tuple(f"adapters/ron/step-00000002/{name}" for name in INSIDE)), content=BYTES)
def test_any_bytes_in_any_file_of_a_run_are_read_or_refused(
    whole_run: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    run = copied(whole_run, tmp_path)
    (run / name).write_bytes(content)
    look_at(run)


@BOUNDED
@given(data=st.data())
def test_any_value_in_a_status_event_or_metric_is_read_or_refused(
    whole_run: Path, tmp_path: Path, data: st.DataObject
) -> None:
    run = copied(whole_run, tmp_path)
    name = data.draw(st.sampled_from(("status.json", "events.jsonl", "metrics.jsonl")))
    text = (run / name).read_text()
    lines = text.splitlines() if name.endswith(".jsonl") else [text]
    place = data.draw(st.integers(0, len(lines) - 1))
    values = json.loads(lines[place])
    values[data.draw(st.sampled_from([*values, "step", "other"]))] = data.draw(VALUES)
    lines[place] = json.dumps(values)
    (run / name).write_text("\n".join(lines) + "\n")
    look_at(run)


def with_state(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the state of the newest checkpoint, and its manifest with it."""
    folder = run / "adapters" / "ron" / folder_name(2)
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST_NAME}
    state = json.loads(contents["state.json"])
    change(state)
    contents["state.json"] = json.dumps(state).encode()
    (folder / "state.json").write_bytes(contents["state.json"])
    (folder / MANIFEST_NAME).write_bytes(CheckpointManifest.of("ron", 2, contents).encode())


@pytest.mark.parametrize("value", [True, None, "x", [1], {"step": 2, "cer": "x"}])
@pytest.mark.parametrize("name", ["state", *Progress(language="ron").to_state()])
def test_a_checkpoint_of_another_version_is_read_or_refused(
    whole_run: Path, tmp_path: Path, name: str, value: object
) -> None:
    run = copied(whole_run, tmp_path)
    with_state(run, lambda state: (state if name == "state" else state["state"]).update({name: value}))
    (run / "events.jsonl").unlink()  # so that the report is of the checkpoint
    for path in run.glob("adapters/ron/step-00000001"):
        shutil.rmtree(path)
    look_at(run)


@pytest.mark.parametrize("name", list(Progress(language="ron").to_state()))
def test_a_state_that_this_version_does_not_write_is_no_progress(name: str) -> None:
    state = Progress(language="ron", step=2).to_state()
    assert Progress.from_state(state).to_state() == state
    with pytest.raises((KeyError, TypeError)):
        Progress.from_state({key: value for key, value in state.items() if key != name})
    with pytest.raises((KeyError, TypeError)):
        Progress.from_state(state | {name: True})


@BOUNDED
@given(data=st.data())
def test_any_state_in_a_whole_checkpoint_is_read_or_refused(
    whole_run: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """A checkpoint of another version has right sums, and a state that this one does not write."""
    run = copied(whole_run, tmp_path)
    folder = run / "adapters" / "ron" / folder_name(2)
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST_NAME}
    name = data.draw(st.sampled_from([name for name in INSIDE if name != MANIFEST_NAME]))
    if name == "state.json":
        state = json.loads(contents[name])
        where: dict[str, Any] = data.draw(st.sampled_from([state, state["state"], state["state"]["best"]]))
        where[data.draw(st.sampled_from([*where, "other"]))] = data.draw(VALUES)
        contents[name] = json.dumps(state).encode()
    else:
        contents[name] = data.draw(BYTES)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    (folder / MANIFEST_NAME).write_bytes(CheckpointManifest.of("ron", 2, contents).encode())
    look_at(run)


@pytest.mark.parametrize("name", [*FILES, *(f"adapters/ron/step-00000002/{name}" for name in INSIDE)])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_refused(
    whole_run: Path, tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    run = copied(whole_run, tmp_path)
    (run / name).unlink(missing_ok=True)
    make(run / name)
    look_at(run)
