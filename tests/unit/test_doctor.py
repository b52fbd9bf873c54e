"""`mms-dist doctor` on one machine: every check fails on what is broken, and on nothing else; all of it at once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from launcher import cli
from launcher.doctor.checks import run_directory
from launcher.doctor.checks.disk import checkpoint_bytes
from launcher.doctor.doctor import preflight
from launcher.slurm.lead_time import LeadTime
from mms_dist.checkpoint.lock import RunLock
from mms_dist.config import load_config
from mms_dist.distributed import comm
from mms_dist.planning.shape import BaseShape
from tests.corpus import build_toy_shards
from tests.doctoring import examined, failed, warned, written_config
from tests.training import train


@pytest.fixture(scope="module")
def whole_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("doctor"), languages=2, train=9, dev=2, shard_utterances=4)


@pytest.fixture
def shards(tmp_path: Path, whole_shards: Path) -> Path:
    """To be broken."""
    return Path(shutil.copytree(whole_shards, tmp_path / "corpus"))


@pytest.fixture
def base(tmp_path: Path, small_base: Path) -> Path:
    """To be broken."""
    return Path(shutil.copytree(small_base, tmp_path / "base"))


@pytest.fixture
def config(tmp_path: Path, base: Path, shards: Path) -> Path:
    return written_config(tmp_path, base, shards)


def test_nothing_is_wrong_with_a_good_run_and_nothing_is_left_behind(config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    findings = examined(config, load=True)
    assert failed(findings) == {}
    assert warned(findings) == {}
    assert {"versions", "base model", "shards", "run directory", "disk space", "memory", "processes"} <= {
        finding.check for finding in findings if finding.status == "ok"
    }
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("check", "settings", "words"),
    [
        ("configuration", ["--optim.step", "1"], ["unknown key 'optim.step'", "did you mean 'steps'"]),
        ("configuration", ["--comm.deepspeed", "none.json"], ["none.json", "configs/deepspeed/zero3.json"]),
        ("device", ["--run.device", "cuda:7"], ["cuda:7", "use auto"]),
        ("base model", ["--model.base", "/nowhere"], ["/nowhere", "expected a folder with config.json"]),
        ("shards", ["--data.shards", "/nowhere"], ["no folder /nowhere", "mms-dist shards build"]),
        ("shards", ["--data.languages", "[taa, tax]"], ["tax", "there are: taa, tab"]),
        ("shards", ["--languages.tax.optim.lr", "1e-3"], ["languages.tax", "correct the code"]),
        ("shards", ["--data.max_seconds", "0.01"], ["taa has 9 training utterances", "tab has 10", "data.max_seconds"]),
        ("first adapters", ["--adapter.init", "none"], ["'none' is neither a scheme", "xavier"]),
        (
            "run directory",
            ["--run.directory", "/proc/here/run"],
            ["/proc/here/run cannot be written", "choose another"],
        ),
        ("disk space", ["--checkpoint.keep", "1000000000"], ["free in", "lower checkpoint.keep"]),
        ("memory", ["--rounds.forward_seconds", "1e7"], ["available", "lower rounds.forward_seconds"]),
        ("processes", ["--comm.processes", "3"], ["1 process on 1 machine", "leave comm.processes out"]),
    ],
)
def test_a_wrong_setting_fails_its_own_check_and_no_other(
    config: Path, check: str, settings: list[str], words: list[str]
) -> None:
    told = failed(examined(config, *settings))
    assert told.keys() == {check}
    for word in words:
        assert word in told[check]


def test_everything_that_is_broken_is_reported_at_once(
    config: Path, base: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shards / "taa" / "train-000000.tar").unlink()
    with (shards / "tab" / "train-000001.tar").open("ab") as file:
        file.truncate(1000)
    _cut(base)
    _pretend_version(monkeypatch, "transformers", "4.1.0")
    told = failed(
        examined(
            config,
            *("--optim.rate", "1", "--optim.lr", "fast", "--languages.tax.optim.lr", "1", "--run.device", "toaster"),
            *("--run.directory", str(base / "config.json" / "run"), "--comm.processes", "9"),
        )
    )
    expected = ["versions", "configuration", "device", "base model", "shards", "run directory", "processes"]
    assert sorted(told) == sorted(expected)
    assert "transformers 4.1.0, expected" in told["versions"]
    assert "optim.rate" in told["configuration"]
    assert "optim.lr" in told["configuration"]
    for part in ("languages.tax", "taa/train-000000.tar is missing", "tab/train-000001.tar has 1,000 bytes"):
        assert part in told["shards"]


def test_every_finding_that_is_not_well_names_a_mend(config: Path, base: Path, shards: Path) -> None:
    shutil.rmtree(base)
    (shards / "taa" / "vocab.json").write_text("{")
    settings = ["--optim.rate", "1", "--run.directory", "/proc/x", "--comm.processes", "9", "--run.device", "cuda:9"]
    findings = [each for each in examined(config, *settings) if each.status in ("failed", "warning")]
    assert len(findings) >= 6
    assert all(finding.mend for finding in findings), findings


def _pretend_version(monkeypatch: pytest.MonkeyPatch, package: str, found: str | None) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name != package:
            return real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(("found", "words"), [(None, "deepspeed is not installed"), ("0.1", "deepspeed 0.1, expected")])
def test_a_package_that_is_missing_or_too_old_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch, found: str | None, words: str
) -> None:
    _pretend_version(monkeypatch, "deepspeed", found)
    told = failed(examined(config))
    assert told.keys() == {"versions"}
    assert words in told["versions"]
    assert "pip install 'deepspeed" in told["versions"]


def test_a_check_that_cannot_even_be_imported_is_a_finding_and_the_others_go_on(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "launcher.doctor.checks.memory", raising=False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    told = failed(examined(config))
    assert told.keys() == {"memory"}
    assert "psutil" in told["memory"]


# -- the base ---------------------------------------------------------------------------------------------------------


def _cut(base: Path) -> None:
    with (base / "model.safetensors").open("ab") as file:
        file.truncate(20_000)


def _take_out(base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    del tensors["wav2vec2.encoder.layers.1.attention.k_proj.weight"]
    safetensors.torch.save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def _reshape(base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    tensors["wav2vec2.encoder.layer_norm.weight"] = torch.ones(7)
    safetensors.torch.save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def _index_without_part(base: Path) -> None:
    (base / "model.safetensors").rename(base / "part-1.safetensors")
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))


def _without_weights(base: Path) -> None:
    (base / "model.safetensors").unlink()


def _torch_file_cut(base: Path) -> None:
    _as_torch_file(base)
    with (base / "pytorch_model.bin").open("ab") as file:
        file.truncate(20_000)


def _as_torch_file(base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    old = "wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original"
    for number, name in enumerate("gv"):  # as files of before torch 2 have them
        if f"{old}{number}" in tensors:
            tensors[f"wav2vec2.encoder.pos_conv_embed.conv.weight_{name}"] = tensors.pop(f"{old}{number}")
    torch.save(tensors, base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (_cut, "model.safetensors (20,000 bytes) is no whole file of weights"),
        (_take_out, "lacks 1 weights that its config.json calls for"),
        (_reshape, "1 have other shapes, first encoder.layer_norm.weight"),
        (_index_without_part, "lacks part-2.safetensors"),
        (_without_weights, "none of model.safetensors"),
        (_torch_file_cut, "pytorch_model.bin (20,000 bytes)"),
    ],
)
def test_a_damaged_base_is_found_without_loading_it(
    config: Path, base: Path, breaks: Callable[[Path], None], words: str
) -> None:
    breaks(base)
    told = failed(examined(config))
    assert told.keys() == {"base model"}
    assert words in told["base model"]
    assert "fetch" in told["base model"]


def test_a_base_in_torchs_old_format_is_whole(config: Path, base: Path) -> None:
    _as_torch_file(base)
    assert failed(examined(config, load=True)) == {}


def test_a_weight_that_is_nan_is_found_by_loading(config: Path, base: Path) -> None:
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    tensors["wav2vec2.encoder.layer_norm.weight"][3] = torch.nan
    safetensors.torch.save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    assert failed(examined(config)) == {}
    assert "NaN" in failed(examined(config, load=True))["base model"]


# -- the shards -------------------------------------------------------------------------------------------------------


def test_a_flipped_byte_at_the_end_of_a_split_is_found(config: Path, shards: Path) -> None:
    path = shards / "taa" / "train-000000.tar"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    told = failed(examined(config))
    assert told.keys() == {"shards"}
    assert "CRC-32" in told["shards"]
    assert "mms-dist shards verify" in told["shards"]


def test_text_that_was_decoded_wrongly_and_a_missing_dev_split_are_told(config: Path, shards: Path) -> None:
    index = json.loads((shards / "taa" / "index.json").read_text())
    index["splits"]["dev"] = {"samples": 0, "seconds": 0, "bytes": 0, "shards": []}
    (shards / "taa" / "index.json").write_text(json.dumps(index))
    _drop_dev(shards / "taa" / "samples.parquet")
    vocabulary = json.loads((shards / "tab" / "vocab.json").read_text())
    vocabulary["tab"]["\ufffd"] = len(vocabulary["tab"])
    (shards / "tab" / "vocab.json").write_text(json.dumps(vocabulary))
    findings = examined(config)
    assert failed(findings) == {}
    told = warned(findings)
    assert told.keys() == {"shards"}
    assert "taa: has no dev split" in told["shards"]
    assert "tab: its text holds 1 characters that are no text (U+FFFD)" in told["shards"]
    assert "tokens, its index says" in told["shards"]


def _drop_dev(path: Path) -> None:
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.filter(pyarrow.compute.not_equal(table["split"], "dev")), path)


def test_tars_that_lost_their_index_are_not_passed_over_in_silence(config: Path, shards: Path) -> None:
    (shards / "tab" / "index.json").unlink()
    findings = examined(config)
    assert "tab" in warned(findings)["shards"]
    assert "1 languages" in next(each.found for each in findings if (each.check, each.status) == ("shards", "ok"))


def test_the_cache_of_remote_shards_must_be_writable_and_large_enough(config: Path, shards: Path) -> None:
    remote = ["--data.shards", f"pipe:cat {shards}/{{}}", "--data.languages", "[taa]"]
    assert failed(examined(config, *remote)) == {}
    assert "cannot be written" in failed(examined(config, *remote, "--data.cache_directory", "/proc/x"))["shard cache"]
    assert "larger than data.cache_gib" in failed(examined(config, *remote, "--data.cache_gib", "1e-7"))["shard cache"]


# -- the run directory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("replace", "replacing a file fails"),
        ("rename", "renaming a folder fails"),
        ("symlink", "replacing a link fails"),
    ],
)
def test_a_file_system_that_lacks_an_operation_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch, function: str, words: str
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, function, refuse)
    told = failed(examined(config))
    assert told.keys() == {"run directory"}
    assert words in told["run directory"]
    assert "another file system" in told["run directory"]


def test_locks_that_other_processes_do_not_respect_are_found(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "is_locked_for_others", lambda path: False)
    assert "can be locked by another" in failed(examined(config))["run directory"]


def test_whether_a_lock_is_respected_is_asked_of_another_process(tmp_path: Path) -> None:
    (tmp_path / "run.lock").touch()
    assert not run_directory.is_locked_for_others(tmp_path / "run.lock")
    with RunLock(tmp_path) as lock:
        assert run_directory.is_locked_for_others(lock.path)
    with pytest.raises(OSError, match="No such file"):
        run_directory.is_locked_for_others(tmp_path / "none")


def test_a_directory_in_use_is_named_with_its_user(config: Path, tmp_path: Path) -> None:
    with RunLock(tmp_path / "run"):
        told = failed(examined(config))
    assert told.keys() == {"last attempt"}
    assert f"in use by process {os.getpid()}" in told["last attempt"]
    assert failed(examined(config)) == {}


def test_a_run_that_gave_up_is_told_with_its_reason(config: Path, tmp_path: Path) -> None:
    status = {"processes": 1, "attempt": 4, "stalled": 3, "steps_at_start": 0, "state": "stalled", "reason": "no luck"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text(json.dumps(status))
    findings = examined(config)
    assert failed(findings) == {}
    assert "gave up: no luck" in warned(findings)["last attempt"]


def test_a_checkpoint_is_as_large_as_is_reckoned(config: Path, tmp_path: Path) -> None:
    settings = ["--optim.steps", "2", "--optim.warmup_steps", "1", "--checkpoint.keep", "1"]
    run = load_config(config, settings)
    train(run)
    shape = BaseShape.of(run.model.base)
    for language in ("taa", "tab"):
        folder = (tmp_path / "run" / "adapters" / language / "last").resolve()
        vocabulary = len(json.loads((folder / "vocab.json").read_text())[language])
        found = sum(path.stat().st_size for path in folder.iterdir())
        assert 0.5 * found < checkpoint_bytes(run, shape, vocabulary) < 2 * found
        tensors = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        assert abs(checkpoint_bytes(run, shape, vocabulary) - tensors) < 16 << 10
    findings = examined(config, *settings)
    assert failed(findings) == {}
    assert any("has finished" in finding.found for finding in findings)


# -- machines, processes, SLURM ---------------------------------------------------------------------------------------


def test_memory_is_compared_with_what_is_said_of_machines_elsewhere(config: Path) -> None:
    assert failed(examined(config, nodes=2, processes=2, here=False, memory_gib=80)) == {}
    told = failed(examined(config, nodes=2, processes=2, here=False, memory_gib=0.001))
    assert told.keys() == {"memory"}


def test_processes_without_work_are_counted(config: Path) -> None:
    findings = examined(config, nodes=64, processes=8, here=False)
    assert failed(findings) == {}
    assert "have nothing to do" in warned(findings)["processes"]


def test_a_launcher_that_fell_short_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert "has started one" in failed(examined(config))["processes"]


@pytest.mark.parametrize(
    ("script", "round_seconds", "status", "words"),
    [
        ("#SBATCH --signal=B:USR1@600\n", 60.0, "ok", "enough"),
        ("#SBATCH --signal=B:USR1@600\n", 700.0, "failed", "--signal=B:USR1@"),
        ("#SBATCH --signal=B:USR1@600\n", None, "not checked", "yet to be measured"),
        ("#SBATCH --nodes=2\n", 60.0, "warning", "slurm/train.sbatch"),
    ],
)
def test_the_warning_must_leave_time_for_a_round_and_a_save(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    round_seconds: float | None,
    status: str,
    words: str,
) -> None:
    measured = None if round_seconds is None else LeadTime(600.0, round_seconds, 5.0)
    monkeypatch.setattr("launcher.slurm.lead_time.measured_lead_time", lambda *_: measured)
    monkeypatch.delitem(sys.modules, "launcher.doctor.checks.lead_time", raising=False)
    (finding,) = (each for each in examined(config, script=script) if each.check == "lead time")
    assert finding.status == status
    assert words in f"{finding.found} {finding.mend}"


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`mms-dist doctor`: exit status, output, errors."""
    monkeypatch.setattr(comm, "_SERVING", [])

    def run(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(["doctor", *arguments])
        return (status, *capsys.readouterr())

    return run


def test_the_command_says_by_its_exit_status_how_it_stands(
    doctor: Callable[..., tuple[int, str, str]], config: Path
) -> None:
    status, output, _ = doctor(str(config))
    assert (status, output.splitlines()[-1]) == (0, "nothing to mend")
    assert "network" in output
    status, output, _ = doctor("--config", str(config), "--comm.processes", "2", "--nodes", "3")
    assert (status, output.splitlines()[-1]) == (1, "1 to mend")
    assert "→ start as many as that" in output
    status, _, errors = doctor(str(config) + "x")
    assert (status, "cannot read the configuration" in errors) == (2, True)
    assert doctor()[0] == doctor(str(config), "--config", str(config))[0] == doctor(str(config), "--optim.lr")[0] == 2


def test_json_holds_every_finding(doctor: Callable[..., tuple[int, str, str]], config: Path) -> None:
    status, output, _ = doctor(str(config), "--json", "--comm.processes", "2")
    report = json.loads(output)
    assert status == report["exit_code"] == 1
    (finding,) = (each for each in report["findings"] if each["status"] == "failed")
    assert finding["check"] == "processes"
    assert finding["hosts"] == []
    assert "comm.processes is 2" in finding["found"]


def test_a_thousand_problems_of_a_kind_are_counted_and_not_listed(
    doctor: Callable[..., tuple[int, str, str]], config: Path
) -> None:
    many = ", ".join(f"x{a}{b}" for a in "abcdef" for b in "abcdef")
    _, output, _ = doctor(str(config), "--data.languages", f"[{many}]")
    assert output.count("no shards of language") == 8
    assert "and 28 more of shards (failed)" in output


def test_the_preflight_of_a_job_looks_at_what_can_be_seen_from_here(config: Path) -> None:
    report = preflight(str(config), [], nodes=2, processes=2, script="#SBATCH --signal=B:USR1@600\n")
    assert report.exit_code == 0
    told = {line.finding.check: line.finding.found for line in report.lines}
    assert "other machines" in told["device"]
    assert told["processes"].startswith("4 processes on 2 machines")
    assert "network" not in told


def test_the_doctor_is_quick_and_help_needs_no_torch() -> None:
    program = "import sys; from launcher.cli import main; main(['doctor', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
