"""Decide every setting: use the configured value, or the value this run started with, or one that fits the hardware.

Settings that cannot work on the hardware are refused, before anything is loaded. Pure functions: `hardware.hardware`
inspects the hardware and agrees on it with the other ranks; `hardware.hardware_record` stores what a run started with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from mms_dist.config import Config, Model
from mms_dist.errors import ConfigError, raise_all
from mms_dist.features.feature_spill import SPILL_BYTES
from mms_dist.hardware.hardware import Hardware
from mms_dist.hardware.hardware_record import KeptSettings
from mms_dist.hardware.memory_estimate import RunShape
from mms_dist.hardware.pinned_memory import PinnedMemory, divide, pass_bytes
from mms_dist.machine import loader_workers
from mms_dist.model.base_shape import number_bytes
from mms_dist.run_directory.paths import HARDWARE_NAME
from shards.schema import SAMPLE_RATE

Dtype = Literal["float32", "bfloat16", "float64"]
Attention = Literal["padded", "packed"]

FORWARD_COST_SECONDS = {"cpu": 1.0, "gpu": 13.0}
"""Cost of one more forward pass for the packer, in seconds of padded audio. On a GPU it is at most the time to launch
the kernels of a pass, about 4 microseconds each, times the throughput. Estimates (no card has been measured): 930
kernels and 6,500 s of audio per second at 300M give 24 s; 1,800 kernels and 2,400 s per second at 1B give 17 s. The
real cost is lower, because launches run ahead of the device. With 13 s, a round of 64 languages of 160 s takes 38
passes of up to 320 s with 2.9 % padding (tests/benchmarks/padding); with 20 s it takes 36 passes with 3.1 %. The number
is fixed and not measured at the start of a run, because another value makes other passes and a restart would not be
exact."""
CPU_FORWARD_SECONDS = 32.0
GPU_FORWARD_SECONDS = (320.0, 240.0, 160.0, 120.0, 80.0, 60.0, 40.0, 20.0)
"""Tried from the largest down. The steps are coarse, so that GPUs with slightly different memory get the same size. In
a pass of 320 s the fixed cost of a pass is negligible."""
MEMORY_SHARE = 0.8
"""Highest share of the free memory that the estimate may use: allocators leave gaps, and it is only an estimate."""
AUTO_ATTENTION: Mapping[str, Attention] = {"cpu": "padded", "gpu": "padded"}
"""The faster kind by measurement; on a GPU `padded` until tests/gpu has passed with `packed` on a real card."""
MIN_ROUNDS_TO_COMPILE = 300
"""Compiling takes one to two minutes and saves about 0.4 s per round of 64 languages."""
CPU_FEATURE_CACHE_GIB = 2.0
FEATURE_CHANNELS = 512
"""Front-end channels of all published bases, used when the base has not been read."""
_KEPT_FROM_START = "as when this run began, on"


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The settings of a run, all decided.

    `lines` say what was chosen and why, for the log.
    """

    dtype: Dtype
    attention: Attention
    compile: bool
    may_go_uncompiled: bool
    """Compiling was chosen here, neither configured nor kept from the start. If it fails, the run continues without."""
    forward_seconds: float
    evaluation_seconds: float
    forward_cost_seconds: float
    threads: int
    workers: int
    feature_cache_gib: float
    staging_bytes: int
    """Page-locked memory of this rank for passes that are copied to a GPU."""
    spill_bytes: int
    """Memory for front-end features waiting to be written to `model.feature_spill_directory`; page-locked on a GPU."""
    hardware: Hardware
    begun_on: str
    """The hardware that the kept settings were chosen for."""
    lines: tuple[str, ...] = field(default=(), compare=False)

    @property
    def forward_cost_samples(self) -> int:
        """The cost of a forward pass in samples, the packer's unit."""
        return round(self.forward_cost_seconds * SAMPLE_RATE)

    @property
    def packed(self) -> bool:
        """Whether training passes are packed. Evaluation passes never are."""
        return self.attention == "packed"

    @property
    def kept(self) -> KeptSettings:
        """The settings that every restart of this run keeps."""
        return KeptSettings(
            dtype=self.dtype,
            attention=self.attention,
            compile=self.compile,
            forward_seconds=self.forward_seconds,
            evaluation_seconds=self.evaluation_seconds,
            forward_cost_seconds=self.forward_cost_seconds,
            threads=self.threads,
            processes=self.hardware.world,
            hardware=self.begun_on,
        )

    def shared_settings(self) -> dict[str, Any]:
        """The settings that must be the same on all ranks, by name."""
        return {
            "model.dtype": self.dtype,
            "model.attention": self.attention,
            "model.compile": "on" if self.compile else "off",
            "rounds.forward_seconds": self.forward_seconds,
            "evaluation.forward_seconds": self.evaluation_seconds,
            "the cost of a forward pass": self.forward_cost_seconds,
        }


def resolve(
    config: Config,
    hardware: Hardware,
    *,
    mine: Hardware | None = None,
    kept: KeptSettings | None = None,
    shape: RunShape | None = None,
    rounds: int = 0,
) -> Resolved:
    """Decide every setting that the configuration leaves open.

    It takes the whole configuration because the open settings are in five of its sections.

    Args:
        hardware: what every rank has at least.
        mine: what this rank has; decides only settings that may differ between ranks and change no result.
        kept: settings the run started with.
        shape: needed to choose `forward_seconds` by GPU memory; None chooses the largest.
        rounds: approximate number of rounds left, to decide whether compiling pays; 0 for a trial or an evaluation.

    Raises:
        ConfigError: a setting cannot work on this hardware; the error names the flag to change.
    """
    choice = _Choice(config, hardware, mine or hardware, kept, shape, rounds)
    resolved = choice.resolved()
    problems = [
        *_refusals(
            config.model, hardware, kept, dtype=resolved.dtype, attention=resolved.attention, compiled=resolved.compile
        ),
        *choice.no_longer_fits(resolved),
    ]
    raise_all(problems)
    return resolved


class _Choice:
    """Makes the decisions one by one and records the reason for each."""

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        mine: Hardware,
        kept: KeptSettings | None,
        shape: RunShape | None,
        rounds: int,
    ) -> None:
        self._config, self._hardware, self._mine = config, hardware, mine
        self._kept, self._shape, self._rounds = kept, shape, rounds
        self._device = "gpu" if hardware.on_gpu else "cpu"
        self._chosen: dict[str, list[str]] = {}
        self._as_before: dict[str, list[str]] = {}

    def resolved(self) -> Resolved:
        config = self._config
        dtype = cast(Dtype, self._of("model.dtype", _closed(config.model.dtype), "dtype") or self._dtype())
        attention = self._of("model.attention", _closed(config.model.attention), "attention") or self._attention()
        configured = {"on": True, "off": False}.get(config.model.compile)
        compiled = self._of("model.compile", configured, "compile")
        cost = self._of(None, None, "forward_cost_seconds") or FORWARD_COST_SECONDS[self._device]
        seconds = self._of("rounds.forward_seconds", config.rounds.forward_seconds, "forward_seconds")
        evaluation = self._of("evaluation.forward_seconds", config.evaluation.forward_seconds, "evaluation_seconds")
        seconds = seconds or self._seconds("rounds.forward_seconds", dtype, attention, backward=True)
        evaluation = evaluation or self._seconds("evaluation.forward_seconds", dtype)
        pinned = self._pinned(max(seconds, evaluation), dtype)
        return Resolved(
            dtype=dtype,
            attention=cast(Attention, attention),
            compile=self._compile(attention) if compiled is None else compiled,
            may_go_uncompiled=compiled is None,
            forward_seconds=seconds,
            evaluation_seconds=evaluation,
            forward_cost_seconds=cost,
            threads=self._threads(),
            workers=self._workers(),
            feature_cache_gib=self._feature_cache_gib(pinned),
            staging_bytes=pinned.staging,
            spill_bytes=pinned.spill if self._hardware.on_gpu else SPILL_BYTES,
            hardware=self._hardware,
            begun_on=str(self._hardware) if self._kept is None else self._kept.hardware,
            lines=tuple(self._lines()),
        )

    def no_longer_fits(self, resolved: Resolved) -> Iterator[ConfigError]:
        """Yield an error for each kept pass size that does not fit in this GPU's memory; configured sizes are tried."""
        config, kept, free = self._config, self._kept, self._hardware.free_bytes
        if kept is None or self._shape is None or free is None:
            return
        training = self._shape.memory_needs(resolved.dtype, self._hardware, packed=resolved.packed)
        passes = (
            ("rounds.forward_seconds", config.rounds.forward_seconds, kept.forward_seconds, training, True),
            ("evaluation.forward_seconds", config.evaluation.forward_seconds, kept.evaluation_seconds, training, False),
        )
        for name, configured, seconds, needs, backward in passes:
            needed = needs.memory(seconds, backward=backward).after_start
            if configured is None and needed > free:
                fitting = self._seconds(name, resolved.dtype, resolved.attention, backward=backward)
                yield ConfigError(
                    f"this run began with {name} {seconds:g}, on {kept.hardware} (RUN/{HARDWARE_NAME}), for which a "
                    f"process needs about {_gib(needed)} GiB, but {self._hardware} has only {_gib(free)} GiB free",
                    fix=f"pass --{name} {fitting:g}",
                )

    def _of(self, name: str | None, configured: Any, field: str) -> Any:
        """Return the configured value, else the one the run started with; None if there is neither."""
        if configured is not None:
            return configured
        value = None if self._kept is None else getattr(self._kept, field)
        if value is not None and name is not None and self._kept is not None:
            shown = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
            self._note(name, shown, f"{_KEPT_FROM_START} {self._kept.hardware}", self._as_before)
        return value

    def _note(self, name: str, value: Any, reason: str, among: dict[str, list[str]] | None = None) -> None:
        """Record a decision and its reason for the log, `among` the chosen ones or those of the run's start."""
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        among = self._chosen if among is None else among
        among.setdefault(reason, []).append(f"{name} {shown}")

    def _lines(self) -> Iterator[str]:
        for title, decisions in (("kept", self._as_before), ("chosen", self._chosen)):
            for reason, settings in decisions.items():
                yield f"{title:<10}{', '.join(settings)}: {reason}"
        if self._kept is not None and self._kept.hardware != str(self._hardware):
            yield f"hardware  this is {self._hardware}; remove RUN/{HARDWARE_NAME} to choose the settings for it"

    def _dtype(self) -> Dtype:
        dtype: Dtype = "bfloat16" if self._hardware.on_gpu and self._hardware.has_bfloat16 else "float32"
        self._note("model.dtype", dtype, f"on {self._hardware}")
        return dtype

    def _attention(self) -> Attention:
        self._note("model.attention", AUTO_ATTENTION[self._device], f"on {self._hardware}")
        return AUTO_ATTENTION[self._device]

    def _compile(self, attention: str) -> bool:
        hardware, fewest = self._hardware, MIN_ROUNDS_TO_COMPILE
        if not hardware.on_gpu or not hardware.can_compile:
            reason = f"on {hardware}"
        elif attention == "packed":
            reason = "compiled layers take padded passes only"
        elif hardware.base_is_sharded:
            reason = "ZeRO-3 wraps the same layers"
        elif self._rounds < fewest:
            reason = f"fewer than {fewest} rounds are left"
        else:
            self._note("model.compile", "on", f"{self._rounds:,} rounds are left")
            return True
        self._note("model.compile", "off", reason)
        return False

    def _seconds(self, name: str, dtype: Dtype, attention: str = "padded", *, backward: bool = False) -> float:
        if not self._hardware.on_gpu:
            self._note(name, CPU_FORWARD_SECONDS, f"on {self._hardware}")
            return CPU_FORWARD_SECONDS
        free = self._hardware.free_bytes
        if self._shape is None or free is None:
            self._note(name, GPU_FORWARD_SECONDS[0], "the largest useful size; the amount of free memory is not known")
            return GPU_FORWARD_SECONDS[0]
        needs = self._shape.memory_needs(dtype, self._hardware, packed=attention == "packed")
        seconds, needed = GPU_FORWARD_SECONDS[-1], 0
        for seconds in GPU_FORWARD_SECONDS:
            needed = needs.memory(seconds, backward=backward).after_start
            if needed <= MEMORY_SHARE * free:
                break
        self._note(name, seconds, f"needs about {_gib(needed)} of the {_gib(free)} GiB free on the device")
        return seconds

    def _threads(self) -> int:
        configured, kept, hardware = self._config.run.threads, self._kept, self._hardware
        if configured is not None:
            return configured
        if kept is None or kept.threads is None or kept.processes != hardware.world:
            self._note("run.threads", hardware.threads, "torch's own choice")
            return hardware.threads
        too_many = kept.threads > self._mine.cores >= 1
        hint = f"; this process has {self._mine.cores:g} cores, set --run.threads to change it" if too_many else ""
        self._note("run.threads", kept.threads, f"{_KEPT_FROM_START} {kept.hardware}{hint}", self._as_before)
        return kept.threads

    def _workers(self) -> int:
        if self._config.data.workers is not None:
            return self._config.data.workers
        workers = loader_workers(self._mine.cores, on_gpu=self._hardware.on_gpu)
        self._note("data.workers", workers, f"for {self._mine.cores:.3g} cores")
        return workers

    def _pinned(self, seconds: float, dtype: Dtype) -> PinnedMemory:
        """Divide this rank's page-locked memory, for passes of up to `seconds` of audio."""
        model = self._config.model
        configured = None if model.feature_cache_gib is None else round(model.feature_cache_gib * 2**30)
        return divide(
            self._mine.pinned_bytes,
            pass_bytes=pass_bytes(
                seconds,
                channels=FEATURE_CHANNELS if self._shape is None else self._shape.base.front_end_channels,
                feature_bytes=0 if configured == 0 else number_bytes(dtype),
            ),
            cache_bytes=configured,
            spills=model.feature_spill_directory is not None,
        )

    def _feature_cache_gib(self, pinned: PinnedMemory) -> float:
        configured, name = self._config.model.feature_cache_gib, "model.feature_cache_gib"
        if not self._hardware.on_gpu:
            return CPU_FEATURE_CACHE_GIB if configured is None else configured
        gib = pinned.cache / 2**30
        if configured is None:
            self._note(name, round(gib, 2), "a share of the free host memory, divided by the processes of the machine")
        elif round(configured * 2**30) <= pinned.cache or not self._mine.pinned_bytes:  # 0: the machine is not known
            return configured
        else:
            others = _gib(pinned.staging + pinned.spill)
            self._note(
                name,
                round(gib, 2),
                f"{configured:g} is configured, but this process may page-lock {_gib(self._mine.pinned_bytes)} GiB, of "
                f"which {others} hold passes to copy to the device and features to write to the disk",
            )
        return gib


def _closed(value: str) -> str | None:
    return None if value == "auto" else value


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f}"


def _refusals(
    model: Model, hardware: Hardware, kept: KeptSettings | None, *, dtype: str, attention: str, compiled: bool
) -> Iterator[ConfigError]:
    """Yield an error for each setting that cannot work, with the flag that changes it."""
    if dtype == "bfloat16" and not hardware.has_bfloat16:
        yield ConfigError(
            f"{_setting('model.dtype', 'bfloat16', model.dtype, kept)}, but {hardware} has no bfloat16 "
            "arithmetic, which needs compute capability 8.0",
            fix="pass --model.dtype float32, and no --mixed_precision bf16",
        )
    if attention == "packed" and hardware.on_gpu:
        setting = _setting("model.attention", "packed", model.attention, kept)
        if not hardware.has_flash:
            yield ConfigError(
                f"{setting}, whose kernels need compute capability 8.0, but this is {hardware}",
                fix="pass --model.attention padded",
            )
        elif dtype != "bfloat16":
            yield ConfigError(
                f"{setting}, whose kernels take half precision only, but model.dtype is {dtype}",
                fix="pass --model.attention padded, or --model.dtype bfloat16",
            )
    if not compiled:
        return
    setting = _setting("model.compile", "on", model.compile, kept)
    if not hardware.can_compile:
        yield ConfigError(
            f"{setting}, whose kernels need compute capability 7.0, but this is {hardware}",
            fix="pass --model.compile off",
        )
    if attention == "packed":
        yield ConfigError(
            f"{setting}, but compiled layers take padded passes only",
            fix="pass --model.compile off, or --model.attention padded",
        )
    if hardware.base_is_sharded:
        yield ConfigError(
            f"{setting}, but ZeRO-3 wraps the same layers",
            fix="pass --model.compile off, or leave DeepSpeed out",
        )


def _setting(name: str, value: str, configured: str, kept: KeptSettings | None) -> str:
    """Name a setting, and where its value comes from if it is not the configuration."""
    if configured == value or kept is None:
        return f"{name} is {value}"
    return f"this run began with {name} {value}, on {kept.hardware} (RUN/{HARDWARE_NAME})"
