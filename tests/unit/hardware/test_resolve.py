"""What the configuration leaves open: as asked, else as the run began, else by the hardware; and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mms_dist.config import Config, parse_config
from mms_dist.distributed.comm import Comm
from mms_dist.errors import ConfigError
from mms_dist.hardware.hardware import Hardware, RankHardware, agree_on_hardware, minimum_share
from mms_dist.hardware.hardware_record import KeptSettings, read_kept_settings, write_kept_settings
from mms_dist.hardware.memory_estimate import RunShape
from mms_dist.hardware.resolve import FORWARD_COST_SECONDS, Resolved, resolve
from mms_dist.model.base_shape import BaseShape
from tests.benchmarks.padding import is_met_on_a_gpu, measure, planned_rounds

GIB = 1 << 30
CPU = Hardware(threads=4, cores=8.0)
H100 = Hardware(
    on_gpu=True,
    names=("H100",),
    capability=(9, 0),
    free_bytes=78 * GIB,
    threads=16,
    cores=16.0,
    pinned_bytes=10 * GIB,
)
T4 = replace(H100, names=("T4",), capability=(7, 5), free_bytes=14 * GIB)
LARGE_T4 = replace(T4, free_bytes=78 * GIB)
"""What an older card cannot do, memory apart."""
SHARDED = replace(H100, base_is_sharded=True, world=4)
MMS_300M = BaseShape(layers=24, hidden=1024, feed_forward=4096, parameters=315_000_000)
MMS_1B = BaseShape(layers=48, hidden=1280, feed_forward=5120, parameters=962_000_000)
BEGUN = KeptSettings(
    dtype="bfloat16",
    attention="packed",
    compile=False,
    forward_seconds=240.0,
    evaluation_seconds=160.0,
    forward_cost_seconds=13.0,
    threads=3,
    processes=1,
    hardware="H100 (9.0)",
)
COMPILED = replace(BEGUN, attention="padded", compile=True)


def resolved(hardware: Hardware, *, kept: KeptSettings | None = None, ahead: int = 4000, **sections: Any) -> Resolved:
    config = parse_config(sections)
    return resolve(config, hardware, kept=kept, shape=run_shape(config, MMS_1B), rounds=ahead)


def run_shape(config: Config, base: BaseShape) -> RunShape:
    return RunShape(base, config.adapter.dim, 64, 40, config.model.activation_checkpointing)


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        (CPU, ("float32", "padded", False, 32.0, 32.0, 1.0, 4, 2, 2.0)),
        (H100, ("bfloat16", "padded", True, 320.0, 320.0, 13.0, 16, 8, 8.0)),
        (T4, ("float32", "padded", True, 20.0, 240.0, 13.0, 16, 8, 8.0)),
        (replace(T4, capability=(6, 1)), ("float32", "padded", False, 20.0, 240.0, 13.0, 16, 8, 8.0)),
        (SHARDED, ("bfloat16", "padded", False, 320.0, 320.0, 13.0, 16, 8, 8.0)),
    ],
)
def test_what_is_left_open_follows_from_the_hardware(hardware: Hardware, expected: tuple[Any, ...]) -> None:
    found = resolved(hardware)
    assert expected == (
        found.dtype,
        found.attention,
        found.compile,
        found.forward_seconds,
        found.evaluation_seconds,
        found.forward_cost_seconds,
        found.threads,
        found.workers,
        found.feature_cache_gib,
    )


def test_what_is_asked_for_is_taken_on_any_hardware_and_over_what_was_kept() -> None:
    asked: dict[str, Any] = {
        "model": {"dtype": "float32", "attention": "padded", "compile": "off", "feature_cache_gib": 1},
        "rounds": {"forward_seconds": 50},
        "evaluation": {"forward_seconds": 60},
        "run": {"threads": 2},
        "data": {"workers": 0},
    }
    for hardware in (CPU, H100, T4, SHARDED):
        for kept in (None, BEGUN):
            found = resolved(hardware, kept=kept, **asked)
            assert (found.dtype, found.attention, found.compile) == ("float32", "padded", False)
            assert (found.forward_seconds, found.evaluation_seconds) == (50, 60)
            assert (found.threads, found.workers, found.feature_cache_gib) == (2, 0, 1)


@pytest.mark.parametrize("begun", [BEGUN, COMPILED])
@pytest.mark.parametrize("hardware", [H100, CPU, replace(H100, free_bytes=42 * GIB)])
def test_a_restart_keeps_the_settings_whatever_it_is_on(hardware: Hardware, begun: KeptSettings) -> None:
    found = resolved(hardware, kept=begun, ahead=1)
    assert found.kept == begun
    (line,) = (line for line in found.lines if "when this run began, on H100 (9.0)" in line and "model.dtype" in line)
    assert line.startswith("kept      ")
    assert found.lines[-1] == f"hardware  this is {hardware}; remove RUN/hardware.json to choose the settings for it"
    compiled = "on" if begun.compile else "off"
    assert "model.dtype bfloat16" in line and f"model.compile {compiled}" in line and "forward_seconds 240" in line
    assert f"model.attention {begun.attention}" in line


def test_threads_are_taken_over_by_as_many_processes_only() -> None:
    found = resolved(replace(CPU, world=2), kept=BEGUN)
    assert found.threads == 4, "sums over more processes differ anyway, and their threads would crowd the cores"
    few = resolved(replace(CPU, cores=1.0), kept=BEGUN)
    assert few.threads == 3
    assert any("this process has 1 cores, set --run.threads to change it" in line for line in few.lines)


NO_BFLOAT16 = "--model.dtype float32"
PADDED = "--model.attention padded"
NOT_COMPILED = "--model.compile off"


@pytest.mark.parametrize(
    ("hardware", "model", "kept", "said", "fix"),
    [
        (T4, {"dtype": "bfloat16"}, None, "model.dtype is bfloat16, but T4 (compute capability 7.5)", NO_BFLOAT16),
        (T4, {"attention": "packed"}, None, "model.attention is packed, whose kernels need", PADDED),
        (H100, {"attention": "packed", "dtype": "float32"}, None, "model.dtype is float32", PADDED),
        (H100, {"attention": "packed", "dtype": "float64"}, None, "model.dtype is float64", PADDED),
        (replace(T4, capability=(6, 1)), {"compile": "on"}, None, "compute capability 7.0, but", NOT_COMPILED),
        (SHARDED, {"compile": True}, None, "model.compile is on, but ZeRO-3", NOT_COMPILED),
        (LARGE_T4, {"attention": "padded"}, BEGUN, "this run began with model.dtype bfloat16, on H100", NO_BFLOAT16),
        (LARGE_T4, {"dtype": "float32"}, BEGUN, "this run began with model.attention packed, on H100", PADDED),
        (SHARDED, {}, COMPILED, "this run began with model.compile on, on H100", NOT_COMPILED),
        (CPU, {"attention": "packed", "compile": "on"}, None, "compiled layers take padded passes only", NOT_COMPILED),
        (H100, {"attention": "packed"}, COMPILED, "this run began with model.compile on, on H100", NOT_COMPILED),
    ],
)
def test_what_cannot_work_is_refused_with_its_flag(
    hardware: Hardware, model: dict[str, Any], kept: KeptSettings | None, said: str, fix: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(hardware, kept=kept, model=model)
    assert said in str(caught.value) and f"pass {fix}" in str(caught.value)
    name, value = fix.removeprefix("--").split()
    possible = {"dtype": "bfloat16" if kept is COMPILED else "float32", "attention": "padded"}
    changed = possible | model | {name.removeprefix("model."): value}
    assert resolved(hardware, kept=kept, model=changed), "the flag helps"


def test_packed_passes_are_not_compiled_where_that_is_left_open() -> None:
    found = resolved(H100, model={"attention": "packed"})
    assert not found.compile and any("compiled layers take padded passes only" in line for line in found.lines)


def test_packed_passes_are_for_any_precision_on_a_cpu() -> None:
    for dtype in ("float32", "float64", "bfloat16"):
        assert resolved(CPU, model={"attention": "packed", "dtype": dtype}).attention == "packed"


@pytest.mark.parametrize(
    ("shape", "free_gib", "checkpointing", "seconds"),
    [
        (MMS_300M, 78, False, 320.0),
        (MMS_300M, 22, False, 320.0),
        (MMS_300M, 10, False, 160.0),
        (MMS_300M, 10, True, 320.0),
        (MMS_1B, 78, False, 320.0),
        (MMS_1B, 38, False, 320.0),
        (MMS_1B, 30, False, 240.0),
        (MMS_1B, 22, False, 160.0),
        (MMS_1B, 22, True, 320.0),
        (MMS_1B, 3, False, 20.0),
    ],
)
def test_passes_are_as_large_as_free_memory_allows(
    shape: BaseShape, free_gib: int, checkpointing: bool, seconds: float
) -> None:
    config = parse_config({"model": {"activation_checkpointing": checkpointing}})
    found = resolve(config, replace(H100, free_bytes=free_gib * GIB), shape=run_shape(config, shape))
    assert found.forward_seconds == seconds
    assert found.evaluation_seconds >= seconds
    assert any(f"of the {free_gib}.0 GiB free" in line for line in found.lines)


def test_passes_of_a_larger_gpu_are_refused_unless_configured() -> None:
    small = replace(H100, names=("A10",), capability=(8, 6), free_bytes=22 * GIB)
    begun = replace(BEGUN, attention="padded", forward_seconds=320.0, evaluation_seconds=320.0)
    with pytest.raises(ConfigError) as caught:
        resolved(small, kept=begun)
    assert "this run began with rounds.forward_seconds 320, on H100" in str(caught.value)
    assert "22.0 GiB free; pass --rounds.forward_seconds 160" in str(caught.value)
    assert resolved(small, kept=begun, rounds={"forward_seconds": 160.0}).evaluation_seconds == 320.0
    assert resolved(small, kept=begun, rounds={"forward_seconds": 320.0}).forward_seconds == 320.0
    tiny = replace(small, free_bytes=3 * GIB)
    with pytest.raises(ConfigError, match=r"began with evaluation\.forward_seconds 320.*--evaluation\.forward_seconds"):
        resolved(tiny, kept=begun, rounds={"forward_seconds": 20.0})
    assert resolved(H100, kept=begun).forward_seconds == 320.0


def test_a_round_on_a_gpu_is_few_full_passes() -> None:
    """64 languages of 160 s at 320 s, of the benchmark's lengths; the cost of a CPU would make over 100."""
    planned = planned_rounds(64, rounds=3)
    found = measure(planned, device="gpu")
    assert is_met_on_a_gpu(found), found
    assert measure(planned, device="cpu")["forwards"] > 100
    assert resolved(H100).forward_cost_samples == 16_000 * FORWARD_COST_SECONDS["gpu"]


class OneOfTwo(Comm):
    """A rank that hears another say what it has."""

    def __init__(self, other: RankHardware) -> None:
        super().__init__(rank=0, world=2)
        self.other, self.collectives = other, 0

    def all_gather(self, item: Any) -> list[Any]:
        self.collectives += 1
        return [item, self.other]


def test_all_ranks_choose_by_the_least_of_them_after_one_collective() -> None:
    other = RankHardware("elsewhere", "its boot", frozenset(range(4)), None, 0, 0, Hardware(threads=1))
    comm = OneOfTwo(other)
    mine, least = agree_on_hardware(comm, torch.device("cpu"))
    assert comm.collectives == 1
    assert (least.threads, least.pinned_bytes, least.world, mine.world) == (1, 0, 2, 2)
    assert least.cores == min(mine.cores, 4) and mine.cores >= 1
    assert mine.pinned_bytes > 0 and mine.threads == torch.get_num_threads()
    few = resolve(parse_config({}), replace(H100, world=2), mine=replace(H100, cores=4.0, pinned_bytes=GIB))
    assert (few.workers, round(few.feature_cache_gib, 3), few.threads) == (2, 0.8, 16), (
        "what may differ is by the rank's own"
    )


def test_ranks_of_a_machine_share_its_cores_and_memory() -> None:
    def rank(host: str, cores: range, hardware: Hardware = H100, quota: float | None = None) -> RankHardware:
        return RankHardware(host, f"boot of {host}", frozenset(cores), quota, 64 * GIB, 64 * GIB, hardware)

    together = minimum_share([rank("a", range(16)), rank("a", range(16))], world=2)
    assert (together.cores, together.pinned_bytes, together.world) == (8, 16 * GIB, 2)
    bound = minimum_share([rank("a", range(8)), rank("a", range(8, 16))], world=2)
    assert (bound.cores, bound.pinned_bytes) == (8, 16 * GIB)
    assert minimum_share([rank("a", range(16)), rank("b", range(16))], world=2).cores == 16
    assert minimum_share([rank("a", range(16), quota=6.0), rank("a", range(16), quota=6.0)], world=2).cores == 3
    mixed = minimum_share([rank("a", range(4)), rank("b", range(16), T4)], world=2)
    assert (mixed.capability, mixed.free_bytes, mixed.names) == ((7, 5), 14 * GIB, ("H100", "T4"))
    assert not minimum_share([rank("a", range(4)), rank("b", range(4), CPU)], world=2).on_gpu


def test_containers_share_a_machines_memory_and_cores_not_their_limits() -> None:
    def rank(name: str, *, boot: str = "one", limit_gib: int = 8, quota: float | None = 4.0) -> RankHardware:
        return RankHardware(name, boot, frozenset(range(16)), quota, limit_gib * GIB, 32 * GIB, H100)

    own_names = minimum_share([rank("a"), rank("b")], world=2)
    assert (own_names.cores, own_names.pinned_bytes) == (4, 4 * GIB), "half of each one's limit"
    one_name = minimum_share([rank("a"), rank("a")], world=2)
    assert (one_name.cores, one_name.pinned_bytes) == (2, 2 * GIB)
    unlimited = [rank(name, limit_gib=32, quota=None) for name in "abcd"]
    assert minimum_share(unlimited, world=4).pinned_bytes == 4 * GIB, "half of the machine's, by four"
    assert minimum_share(unlimited, world=4).cores == 4
    two_machines = [rank("a", boot=boot, limit_gib=32, quota=None) for boot in ("one", "two")]
    assert minimum_share(two_machines, world=2).pinned_bytes == 16 * GIB, "of one name, by chance"
    not_known = [rank(name, boot="", limit_gib=32, quota=None) for name in "ab"]
    assert minimum_share(not_known, world=2).pinned_bytes == 16 * GIB


def test_what_is_page_locked_stays_within_the_budget_and_passes_come_first() -> None:
    """Whatever is asked for; and the log says where it is less."""
    for free_gib in (0.01, 0.25, 1, 10):
        hardware = replace(H100, pinned_bytes=int(free_gib * GIB))
        for asked in (None, 0.0, 0.125, 20.0):
            for spill in (None, "/tmp/spill"):
                found = resolved(hardware, model={"feature_cache_gib": asked, "feature_spill_directory": spill})
                cache = round(found.feature_cache_gib * GIB)
                assert found.staging_bytes + found.spill_bytes + cache <= hardware.pinned_bytes
                assert found.staging_bytes > 0 and (cache > 0) == (asked != 0)
                assert (found.spill_bytes > 0) == (spill is not None and asked != 0)
                (told, *_) = [line for line in found.lines if "model.feature_cache_gib" in line] or [""]
                assert ("is configured, but this process may page-lock" in told) == ((asked or 0) > cache / GIB)
    usual = resolved(H100, model={"feature_cache_gib": 20, "feature_spill_directory": "/tmp/spill"})
    assert (usual.staging_bytes, usual.spill_bytes) == (3 * 32 << 20, 160 << 20)
    assert usual.feature_cache_gib == 10 - 0.25
    assert any("model.feature_cache_gib 9.75: 20 is configured" in line for line in usual.lines)
    assert resolved(CPU, model={"feature_cache_gib": 20}).feature_cache_gib == 20, "nothing is page-locked there"
    assert resolved(CPU).spill_bytes == usual.spill_bytes
    elsewhere = resolved(replace(H100, pinned_bytes=0), model={"feature_cache_gib": 20})
    assert elsewhere.feature_cache_gib == 20, "a machine that is only planned for"


def a_run(directory: Path, config_yaml: str = "") -> Path:
    (directory / "adapters" / "ron" / "step-00000004").mkdir(parents=True)
    (directory / "config.yaml").write_text(config_yaml)
    return directory


def test_what_was_chosen_is_kept_as_long_as_there_are_checkpoints(tmp_path: Path) -> None:
    assert read_kept_settings(tmp_path, on_gpu=True) is None
    write_kept_settings(tmp_path, BEGUN)
    assert read_kept_settings(tmp_path, on_gpu=True) is None, "nothing was trained with it"
    assert read_kept_settings(a_run(tmp_path), on_gpu=True) == BEGUN


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_run_from_before_goes_on_with_the_defaults_of_then(tmp_path: Path, on_gpu: bool) -> None:
    run = a_run(tmp_path, "model: {base: b, dtype: bfloat16}\nrounds: {forward_seconds: null}\n")
    kept = read_kept_settings(run, on_gpu=on_gpu)
    assert kept is not None
    seconds = 160.0 if on_gpu else 32.0
    assert (kept.dtype, kept.attention, kept.compile) == ("bfloat16", "padded", False)
    assert (kept.forward_seconds, kept.evaluation_seconds, kept.forward_cost_seconds) == (seconds, seconds, 1.0)
    assert resolved(replace(CPU, threads=7), kept=kept).threads == 7
    (tmp_path / "config.yaml").write_text(parse_config({}).to_yaml())
    assert read_kept_settings(run, on_gpu=on_gpu) is None, "hardware.json was removed to choose anew"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "{", '{"dtype": "int8"}', "null", "[" * 5000],
)
def test_a_damaged_record_says_how_to_choose_anew(tmp_path: Path, text: str) -> None:
    run = a_run(tmp_path)
    (run / "hardware.json").write_text(text)
    with pytest.raises(ConfigError, match=r"hardware\.json is not a valid record.*Remove it to choose the settings"):
        read_kept_settings(run, on_gpu=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [("dtype", "int8"), ("attention", "flat"), ("compile", "on"), ("forward_seconds", 0), ("threads", True)],
)
def test_a_record_with_another_kind_of_value_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    write_kept_settings(tmp_path, replace(BEGUN, **{field: value}))
    with pytest.raises(ConfigError, match=field):
        read_kept_settings(a_run(tmp_path), on_gpu=True)
