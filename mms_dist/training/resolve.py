"""Decide the settings that the configuration leaves open: as asked for, else as the run began, else by the hardware.

Pure. `training.hardware` looks at the hardware and agrees on it with the other ranks; `training.hardware_record` keeps
what a run began with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.machine import loader_workers
from mms_dist.model.shape import number_bytes
from mms_dist.training.feature_spill import SPILL_BYTES
from mms_dist.training.hardware import Hardware
from mms_dist.training.hardware_record import HARDWARE_NAME, Kept
from mms_dist.training.memory import Load, needs_of
from mms_dist.training.pinned_memory import PinnedMemory, divide, pass_bytes
from mms_dist.training.refusals import refusals
from shards.schema import SAMPLE_RATE

Dtype = Literal["float32", "bfloat16", "float64"]
Attention = Literal["padded", "packed"]

FORWARD_COST_SECONDS = {"cpu": 1.0, "gpu": 13.0}
"""What one more forward pass costs, as padded audio, for the packer. On a GPU at most the time in which its kernels are
launched, about 4 microseconds each, times the rate: by estimate (no card has been measured) 930 kernels and 6,500 s of
audio a second at 300M come to 24 s, 1,800 and 2,400 at 1B to 17 s. The launches run ahead of the device, so it is less;
with 13 s a round of 64 languages of 160 s is 38 passes of up to 320 s with 2.9 % of padding (tests/benchmarks/padding),
with 20 s 36 with 3.1 %. A number for every card and not one that is measured where a run starts: another would make
other passes, and a restart would not be exact."""
CPU_FORWARD_SECONDS = 32.0
GPU_FORWARD_SECONDS = (320.0, 240.0, 160.0, 120.0, 80.0, 60.0, 40.0, 20.0)
"""Tried from the largest: few steps, so that GPUs that differ by a little memory choose alike. Passes of 320 s are full
enough that what a pass costs is lost in it."""
MEMORY_SHARE = 0.8
"""Of the free memory that the estimate may come to: allocators leave gaps, and it is an estimate."""
AUTO_ATTENTION: Mapping[str, Attention] = {"cpu": "padded", "gpu": "padded"}
"""What is faster by measurement; on a GPU `padded` until tests/gpu has passed with `packed` on a real card."""
FEWEST_ROUNDS_TO_COMPILE = 300
"""Compiling takes one to two minutes and saves about 0.4 s of a round of 64 languages."""
CPU_FEATURE_CACHE_GIB = 2.0
FEATURE_CHANNELS = 512
"""Of the front ends of all published bases, where the base is not looked at."""
_BEGAN = "as this run began, on"


@dataclass(frozen=True)
class Resolved:
    """What a run computes with: nothing is left open.

    `lines` say what was chosen and why, for the log.
    """

    dtype: Dtype
    attention: Attention
    compile: bool
    may_go_uncompiled: bool
    """Compiling was chosen here, and neither asked for nor begun with: where it fails, the run does without."""
    forward_seconds: float
    evaluation_seconds: float
    forward_cost_seconds: float
    threads: int
    workers: int
    feature_cache_gib: float
    staging_bytes: int
    """Of this rank's page-locked memory, for passes on their way to a GPU."""
    spill_bytes: int
    """Of memory, page-locked on a GPU, for front-end features on their way to `model.feature_spill_directory`."""
    hardware: Hardware
    begun_on: str
    """The hardware that what is kept was chosen on."""
    lines: tuple[str, ...] = field(default=(), compare=False)

    @property
    def forward_cost_samples(self) -> int:
        """As the packer takes it."""
        return round(self.forward_cost_seconds * SAMPLE_RATE)

    @property
    def packed(self) -> bool:
        """Whether training passes are packed; those of evaluation never are."""
        return self.attention == "packed"

    @property
    def kept(self) -> Kept:
        """What every restart of this run takes over."""
        return Kept(
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

    def of_all_ranks(self) -> dict[str, Any]:
        """By the names of the settings, what must be the same on all ranks."""
        return {
            "model.dtype": self.dtype,
            "model.attention": self.attention,
            "model.compile": "on" if self.compile else "off",
            "rounds.forward_seconds": self.forward_seconds,
            "evaluation.forward_seconds": self.evaluation_seconds,
            "what a forward pass costs": self.forward_cost_seconds,
        }


def resolve(
    config: Config,
    hardware: Hardware,
    *,
    mine: Hardware | None = None,
    kept: Kept | None = None,
    load: Load | None = None,
    rounds: int = 0,
) -> Resolved:
    """Decide what the configuration leaves open.

    Args:
        hardware: what every rank has.
        mine: what this one has; decides what may differ between ranks and changes no result.
        kept: what the run began with.
        load: for `forward_seconds` by the memory of a GPU; None takes the most.
        rounds: about as many as are ahead, for whether compiling pays; 0 for a trial or an evaluation.

    Raises:
        ConfigError: a setting cannot work on this hardware; names the flag to change.
    """
    choice = _Choice(config, hardware, mine or hardware, kept, load, rounds)
    resolved = choice.resolved()
    problems = [
        *refusals(
            config, hardware, kept, dtype=resolved.dtype, attention=resolved.attention, compiled=resolved.compile
        ),
        *choice.no_longer_fits(resolved),
    ]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError("; ".join(map(str, problems)))
    return resolved


class _Choice:
    """One decision after the other, each with its reason."""

    def __init__(
        self,
        config: Config,
        hardware: Hardware,
        mine: Hardware,
        kept: Kept | None,
        load: Load | None,
        rounds: int,
    ) -> None:
        self._config, self._hardware, self._mine = config, hardware, mine
        self._kept, self._load, self._rounds = kept, load, rounds
        self._device = "gpu" if hardware.on_gpu else "cpu"
        self._reasons: dict[str, list[str]] = {}

    def resolved(self) -> Resolved:
        config = self._config
        dtype = cast(Dtype, self._of("model.dtype", _closed(config.model.dtype), "dtype") or self._dtype())
        attention = self._of("model.attention", _closed(config.model.attention), "attention") or self._attention()
        asked = {"on": True, "off": False}.get(config.model.compile)
        compiled = self._of("model.compile", asked, "compile")
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
        """Passes as the run began with, where this GPU has not the memory for them; what was asked for is tried."""
        config, kept, free = self._config, self._kept, self._hardware.free_bytes
        if kept is None or self._load is None or free is None:
            return
        training = needs_of(config, self._load, resolved.dtype, self._hardware, packed=resolved.packed)
        passes = (
            ("rounds.forward_seconds", config.rounds.forward_seconds, kept.forward_seconds, training, True),
            ("evaluation.forward_seconds", config.evaluation.forward_seconds, kept.evaluation_seconds, training, False),
        )
        for name, asked, seconds, needs, backward in passes:
            needed = needs.memory(seconds, backward=backward).after_start
            if asked is None and needed > free:
                fitting = self._seconds(name, resolved.dtype, resolved.attention, backward=backward)
                yield ConfigError(
                    f"this run began with {name} {seconds:g}, on {kept.hardware} (RUN/{HARDWARE_NAME}), for which a "
                    f"process needs about {_gib(needed)} GiB, and {self._hardware} has {_gib(free)} GiB free",
                    fix=f"pass --{name} {fitting:g}",
                )

    def _of(self, name: str | None, asked: Any, field: str) -> Any:
        """What was asked for, or what the run began with; None if neither says."""
        if asked is not None:
            return asked
        value = None if self._kept is None else getattr(self._kept, field)
        if value is not None and name is not None and self._kept is not None:
            told = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
            self._say(name, told, f"{_BEGAN} {self._kept.hardware}")
        return value

    def _say(self, name: str, value: Any, why: str) -> None:
        told = f"{value:g}" if isinstance(value, float) else str(value)
        self._reasons.setdefault(why, []).append(f"{name} {told}")

    def _lines(self) -> Iterator[str]:
        for why, what in self._reasons.items():
            yield f"{'kept' if why.startswith(_BEGAN) else 'chosen':<10}{', '.join(what)}: {why}"
        if self._kept is not None and self._kept.hardware != str(self._hardware):
            yield f"hardware  this is {self._hardware}; remove RUN/{HARDWARE_NAME} to choose anew by it"

    def _dtype(self) -> Dtype:
        dtype: Dtype = "bfloat16" if self._hardware.on_gpu and self._hardware.has_bfloat16 else "float32"
        self._say("model.dtype", dtype, f"on {self._hardware}")
        return dtype

    def _attention(self) -> Attention:
        self._say("model.attention", AUTO_ATTENTION[self._device], f"on {self._hardware}")
        return AUTO_ATTENTION[self._device]

    def _compile(self, attention: str) -> bool:
        hardware, fewest = self._hardware, FEWEST_ROUNDS_TO_COMPILE
        if not hardware.on_gpu or not hardware.can_compile:
            why = f"on {hardware}"
        elif attention == "packed":
            why = "compiled layers take padded passes only"
        elif hardware.base_is_sharded:
            why = "ZeRO-3 wraps the same layers"
        elif self._rounds < fewest:
            why = f"fewer than {fewest} rounds are ahead"
        else:
            self._say("model.compile", "on", f"{self._rounds:,} rounds are ahead")
            return True
        self._say("model.compile", "off", why)
        return False

    def _seconds(self, name: str, dtype: Dtype, attention: str = "padded", *, backward: bool = False) -> float:
        if not self._hardware.on_gpu:
            self._say(name, CPU_FORWARD_SECONDS, f"on {self._hardware}")
            return CPU_FORWARD_SECONDS
        free = self._hardware.free_bytes
        if self._load is None or free is None:
            self._say(name, GPU_FORWARD_SECONDS[0], "the most that is worth it; how much memory is free is not known")
            return GPU_FORWARD_SECONDS[0]
        needs = needs_of(self._config, self._load, dtype, self._hardware, packed=attention == "packed")
        seconds, needed = GPU_FORWARD_SECONDS[-1], 0
        for seconds in GPU_FORWARD_SECONDS:
            needed = needs.memory(seconds, backward=backward).after_start
            if needed <= MEMORY_SHARE * free:
                break
        self._say(name, seconds, f"about {_gib(needed)} of {_gib(free)} GiB that are free on the device")
        return seconds

    def _threads(self) -> int:
        asked, kept, hardware = self._config.run.threads, self._kept, self._hardware
        if asked is not None:
            return asked
        if kept is None or kept.threads is None or kept.processes != hardware.world:
            self._say("run.threads", hardware.threads, "torch's own choice")
            return hardware.threads
        more = kept.threads > self._mine.cores >= 1
        hint = f"; this process has {self._mine.cores:g} cores, and --run.threads would choose anew" if more else ""
        self._say("run.threads", kept.threads, f"{_BEGAN} {kept.hardware}{hint}")
        return kept.threads

    def _workers(self) -> int:
        if self._config.data.workers is not None:
            return self._config.data.workers
        workers = loader_workers(self._mine.cores, on_gpu=self._hardware.on_gpu)
        self._say("data.workers", workers, f"of {self._mine.cores:.3g} cores")
        return workers

    def _pinned(self, seconds: float, dtype: Dtype) -> PinnedMemory:
        """How this rank's page-locked memory is divided, with passes of up to so much audio."""
        model = self._config.model
        asked = None if model.feature_cache_gib is None else round(model.feature_cache_gib * 2**30)
        return divide(
            self._mine.pinned_bytes,
            pass_bytes=pass_bytes(
                seconds,
                channels=FEATURE_CHANNELS if self._load is None else self._load.shape.front_end_channels,
                feature_bytes=0 if asked == 0 else number_bytes(dtype),
            ),
            cache_bytes=asked,
            spills=model.feature_spill_directory is not None,
        )

    def _feature_cache_gib(self, pinned: PinnedMemory) -> float:
        asked, name = self._config.model.feature_cache_gib, "model.feature_cache_gib"
        if not self._hardware.on_gpu:
            return CPU_FEATURE_CACHE_GIB if asked is None else asked
        gib = pinned.cache / 2**30
        if asked is None:
            self._say(name, round(gib, 2), "of the free host memory, by the processes of the machine")
        elif round(asked * 2**30) <= pinned.cache or not self._mine.pinned_bytes:  # 0: of a machine that is not known
            return asked
        else:
            others = _gib(pinned.staging + pinned.spill)
            self._say(
                name,
                round(gib, 2),
                f"{asked:g} is asked for, and this process may page-lock {_gib(self._mine.pinned_bytes)} GiB, of which "
                f"passes on their way to the device and features on their way to the disk take {others}",
            )
        return gib


def _closed(value: str) -> str | None:
    return None if value == "auto" else value


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f}"
