"""Every setting of a run, with its unit, its default and what it does.

Sections are frozen and validated on creation, so the rest of the system trusts them. Bounds on a single field are part
of its type; bounds that span fields are checked when the configuration is loaded.
"""

import dataclasses
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from mms_dist.augment.spec_augment import SpecAugment
from mms_dist.augment.speed import Speed
from mms_dist.config.decoders import known_decoder
from mms_dist.config.paths import PATH, local, unexpanded
from mms_dist.setting_types import (
    MAX_VALUE,
    STRICT,
    Flag,
    NonNegativeFloat,
    NonNegativeInt,
    Number,
    PositiveFloat,
    PositiveInt,
    Probability,
    Switch,
    Text,
    some,
    text,
)
from shards.errors import ShardsError
from shards.flags.names import check_names
from shards.index.groups import is_grouping
from shards.languages import parse_language

MAX_THREADS = 4096


def _grouping(by: str) -> str:
    if not is_grouping(by):
        raise ValueError("expected speaker, source, or tag: and the name of a tag, such as tag:accent")
    return by


def _flag(name: str) -> str:
    try:
        check_names([name])
    except ShardsError as error:
        raise ValueError(str(error)) from error
    return name


def _language(code: str) -> str:
    try:
        return parse_language(code)
    except ShardsError as error:
        raise ValueError(str(error)) from error


Seed = Annotated[int, Field(ge=0, lt=2**63), Number]
Threads = Annotated[int, Field(ge=0, le=MAX_THREADS), Number]
ForwardSeconds = Annotated[float, Field(ge=1, le=MAX_VALUE, allow_inf_nan=False), Number]
PathOrUrl = Annotated[str, AfterValidator(text), PATH]
LocalPath = Annotated[str, AfterValidator(text), AfterValidator(local), PATH]
Language = Annotated[str, AfterValidator(_language)]


@dataclass(frozen=True, config=STRICT)
class Run:
    """Where a run is stored and what makes it reproducible."""

    directory: LocalPath = "runs/default"
    """Folder for checkpoints, events and TensorBoard files; start again with the same folder to resume the run."""
    seed: Seed = 0
    """Seed for shuffling, augmentation, dropout and initial adapters; each combines it with the language."""
    device: Text = "auto"
    """`auto` (one GPU per process, else the CPU), `cpu`, `cuda` (a GPU, or an error), or `cuda:N`."""
    threads: Annotated[int, Field(gt=0, le=MAX_THREADS), Number] | None = None
    """CPU threads of torch. None: torch's default at the first start; restarts use the same number, because sums over
    threads depend on it."""
    stalled_restarts: NonNegativeInt = 3
    """Stop restarting automatically after this many restarts in a row without a step taken; 0 is off."""


@dataclass(frozen=True, config=STRICT)
class Model:
    """The frozen base that all languages share."""

    base: PathOrUrl = "tiny-mms"
    """Folder or Hub name of a Wav2Vec2/MMS checkpoint with `do_stable_layer_norm`; `tiny-mms` is shipped."""
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Data type of the frozen base. `auto`: bfloat16 on a GPU that supports it (compute capability 8.0), float32 on
    other GPUs and on a CPU. Adapter rows, optimizer and CTC are always at least float32."""
    attention: Literal["auto", "padded", "packed"] = "auto"
    """`padded` pads the utterances of a forward pass to the longest. `packed` lays them end to end in passes of
    constant size; on a GPU it needs compute capability 8.0 and bfloat16. `auto` picks the one measured to be faster."""
    compile: Switch = "auto"
    """Compile the frozen layers (torch.compile). `auto`: on a GPU of compute capability 7.0 or later, if the run is
    long enough to pay for it. Not with ZeRO-3, which wraps the same layers, and not with packed passes."""
    activation_checkpointing: Flag = False
    """Recompute each layer in the backward pass: less memory, about a third more arithmetic."""
    feature_cache_gib: NonNegativeFloat | None = None
    """Host memory per process for outputs of the frozen convolutional front end, so that later epochs skip it; 0 is
    off. None: 2 on a CPU; on a GPU, a fraction of the free memory, divided by the processes on the machine. On a GPU it
    is limited to the memory a process may page-lock (half of the free memory, divided by the processes), which is
    logged."""
    feature_spill_directory: LocalPath | None = None
    """Node-local folder for outputs that do not fit in that memory; None recomputes them."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Data:
    """The shards a run streams from."""

    shards: PathOrUrl = "corpus"
    """Folder or URL that holds `<lang>/index.json` next to the tars."""
    languages: Annotated[tuple[Language, ...], AfterValidator(some)] | None = None
    """Languages to train; None trains all languages of the shards."""
    workers: Threads | None = None
    """Loader workers: threads that read and decode audio ahead of the model. Does not change the data. None: from the
    cores of a process, at most 8 on a GPU and 2 on a CPU."""
    prefetch_rounds: NonNegativeInt = 2
    """Rounds of audio to read ahead. Does not change the data."""
    window_shards: PositiveInt = 8
    """Shards shuffled together. More shards mix better; fewer keep reads more local."""
    max_seconds: PositiveFloat | None = None
    """Training utterances longer than this are left out and counted; None keeps all."""
    min_align_score: Annotated[float, Field(ge=-MAX_VALUE, le=MAX_VALUE, allow_inf_nan=False), Number] | None = None
    """Training utterances whose transcript fits worse than this are left out and counted: see `shards align --check`.
    Utterances without a score are kept. None keeps all."""
    leave_out_flagged: tuple[Annotated[str, AfterValidator(_flag)], ...] = ()
    """Training utterances with one of these flags are left out and counted, such as `[clipped, near_duplicate_audio]`:
    see `shards flag`."""
    cache_directory: LocalPath | None = None
    """Node-local folder for remote shards."""
    cache_gib: PositiveFloat = 50.0
    """Maximum size of the node-local cache of remote shards."""


@dataclass(frozen=True, config=STRICT)
class Adapter:
    """The trained part of a language: a bottleneck after every feed-forward block, and a CTC head."""

    dim: Annotated[int, Field(ge=1, le=1024), Number] = 16
    """Width of the bottleneck; the published MMS adapters have 16. One value for the whole run."""
    init: PathOrUrl = "mms"
    """`mms` (Hugging Face's N(0, 0.02)), `xavier`, `kaiming`, `identity` (zero up projection), or adapter files: a
    single `adapter.<lang>.safetensors` for all languages, or a folder with one for each language, heads included: with
    another vocabulary than the shards, their rows are taken by character."""
    dropout: Probability = 0.0
    """Dropout on the bottleneck activations."""


@dataclass(frozen=True, config=STRICT)
class Augment(
    # Every augmentation holds its own settings, and is a base of this section: docs/extending.md. They are applied in
    # this order.
    Speed,
    SpecAugment,
):
    """Changes to training utterances, drawn anew in every epoch; evaluation has none.

    Its settings are those of `mms_dist.augment.spec_augment` and `mms_dist.augment.speed`.
    """


@dataclass(frozen=True, config=STRICT)
class Balance:
    """How often the utterances of a speaker, source or accent come in an epoch, and how much they count; off by
    default."""

    by: Annotated[str, AfterValidator(_grouping)] | None = None
    """The groups to balance: `speaker`, `source`, or a tag such as `tag:accent`. Utterances of unknown group come once
    an epoch and have weight 1."""
    cap_seconds: PositiveFloat | None = None
    """Maximum audio of one group in an epoch, as recorded; what it leaves out changes from epoch to epoch. Utterances
    longer than this are left out."""
    temperature: Annotated[float, Field(ge=1, le=MAX_VALUE, allow_inf_nan=False), Number] = 1.0
    """A group's share of an epoch is proportional to its hours (after the cap) to the power of 1/temperature: 1 leaves
    the shares as they are, a large value makes them equal. Small groups are repeated."""
    loss_temperature: Annotated[float, Field(ge=1, le=MAX_VALUE, allow_inf_nan=False), Number] = 1.0
    """The same by weights in the loss, without repeating or leaving out anything: a group's part of the loss is
    proportional to its hours in an epoch to the power of 1/loss_temperature."""
    weights: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Weight in the loss by group, such as `{radio: 0.5}`; other groups have 1. The loss of a batch is the weighted
    mean over its utterances."""
    max_hours: PositiveFloat | None = None
    """Train on at most this much of a language's audio, drawn once by the seed; None takes all."""
    priority: Annotated[int, Field(ge=-MAX_VALUE, le=MAX_VALUE), Number] = 0
    """Languages of higher priority leave the queue first; among equals, those with the most remaining work."""


NEED_GROUPS = ("cap_seconds", "temperature", "loss_temperature", "weights")
"""Fields of that section that do nothing without `by`."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Optim:
    """AdamW with decoupled weight decay; every language has its own step count, learning rate and clipping."""

    lr: PositiveFloat = 1e-3
    betas: tuple[Probability, Probability] = (0.9, 0.98)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: NonNegativeFloat = 1.0
    """Maximum norm of a language's own gradient; 0 is off."""
    batch_seconds: PositiveFloat = 160.0
    """Audio in one batch: one optimizer step of one language."""
    warmup_steps: NonNegativeInt = 100
    steps: PositiveInt = 4000
    """Maximum number of optimizer steps of a language."""
    decay: Literal["linear", "constant"] = "linear"
    """Learning rate after warm-up: linear to zero at `steps`, or constant."""


@dataclass(frozen=True, config=STRICT)
class Rounds:
    """How many languages train at once, on which processes, and in passes of what size."""

    slots: PositiveInt = 64
    """Languages active at once on a process. The others wait; those with the most remaining work go first."""
    placement: Literal["owners", "replicate"] = "owners"
    """With several processes: `owners` gives each language to one process, or to a rank group that shares its batches;
    with `replicate`, all processes share all languages."""
    forward_seconds: ForwardSeconds | None = None
    """Padded audio in one forward pass; lower it to save memory. None: on a GPU, as much as its free memory holds, at
    most 320; 32 on a CPU, so that activations stay in its cache."""


@dataclass(frozen=True, config=STRICT)
class Evaluation:
    """Transcribing the dev split during training, and a split in `mms-dist eval`."""

    every_steps: PositiveInt = 200
    max_utterances: PositiveInt | None = None
    """Dev utterances per language, chosen once by a hash of their keys; None takes all."""
    forward_seconds: ForwardSeconds | None = None
    """Padded audio in one forward pass; None as in `rounds`."""
    decoder: Annotated[str, AfterValidator(known_decoder)] = "greedy"
    """How logits become text: `greedy` takes the most likely label of every frame, `beam_search` the most likely text,
    with a language model if there is one."""
    language_model: LocalPath | None = None
    """N-gram model of `beam_search`: a file, or a folder with one for each language, as `mms-dist lm build` writes it
    into the shards. None: the audio alone decides."""
    lm_alpha: NonNegativeFloat | None = None
    """Weight of the language model's log-probability. None: tuned, or 0.5."""
    lm_beta: Annotated[float, Field(ge=-MAX_VALUE, le=MAX_VALUE, allow_inf_nan=False), Number] | None = None
    """Added to the score for each word, or for each character of a character model. None: tuned, or 1."""
    beam_width: Annotated[int, Field(ge=1, le=100_000), Number] = 100
    """Hypotheses that `beam_search` keeps after each frame."""


@dataclass(frozen=True, config=STRICT)
class Stopping:
    """When a language finishes before its last step."""

    patience: PositiveInt | None = 5
    """Stop after this many evaluations in a row without an improvement of the dev CER; None is off."""
    min_improvement: NonNegativeFloat = 0.0
    """A smaller decrease of the CER (0.001 is 0.1 points) does not count as an improvement."""
    target_cer: NonNegativeFloat | None = None
    """Stop once the dev CER is at or below this."""


@dataclass(frozen=True, config=STRICT)
class Checkpoint:
    """Checkpoints; every language has its own."""

    every_rounds: PositiveInt = 200
    """Rounds between checkpoints; all active languages are saved after the same rounds."""
    keep: Annotated[int, Field(ge=1, le=MAX_VALUE), Number] = 2
    """Number of complete checkpoints to keep per language, newest first, in addition to its best."""


@dataclass(frozen=True, config=STRICT)
class Comm:
    """How the processes of a run work together."""

    processes: PositiveInt | None = None
    """Expected number of processes; the run stops if the launcher started another number. None accepts any number."""
    timeout_seconds: Annotated[float, Field(ge=1, le=10**7, allow_inf_nan=False), Number] = 600.0
    """A process that makes no progress for this long while others wait for it counts as hung. Must be longer than
    loading the base, including its first download."""
    deepspeed: PathOrUrl | None = None
    """DeepSpeed configuration (JSON) that shards the frozen base over the processes, see configs/deepspeed/. Same as
    `accelerate launch --use_deepspeed --deepspeed_config_file FILE`."""


@dataclass(frozen=True)
class LanguageSettings:
    """The settings of one language: the run's sections with that language's overrides applied."""

    optim: Optim
    adapter: Adapter
    augment: Augment
    balance: Balance
    stopping: Stopping
    evaluation: Evaluation


PER_LANGUAGE = ("optim", "adapter", "augment", "balance", "stopping", "evaluation")
SHARED_BY_ALL = {"adapter": ("dim",), "evaluation": ("every_steps", "max_utterances", "forward_seconds")}
"""Fields of those sections that cannot be set per language: all rows of a bank have the same shape, and languages are
evaluated alike."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Config:
    """One run."""

    run: Run = Field(default_factory=Run)
    model: Model = Field(default_factory=Model)
    data: Data = Field(default_factory=Data)
    adapter: Adapter = Field(default_factory=Adapter)
    augment: Augment = Field(default_factory=Augment)
    balance: Balance = Field(default_factory=Balance)
    optim: Optim = Field(default_factory=Optim)
    rounds: Rounds = Field(default_factory=Rounds)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    stopping: Stopping = Field(default_factory=Stopping)
    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    comm: Comm = Field(default_factory=Comm)
    languages: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Overrides per language: `languages.ron.optim.lr: 5e-4`."""

    def for_language(self, language: str) -> LanguageSettings:
        """Return the settings of one language, with its overrides applied."""
        own = self.languages.get(language, {})
        sections = {name: _override(getattr(self, name), own.get(name, {})) for name in PER_LANGUAGE}
        return LanguageSettings(**sections)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `parse_config` accepts."""
        return dataclasses.asdict(self)

    def flat(self) -> dict[str, Any]:
        """Return the values by dotted name, such as `optim.lr`."""
        return _flat(self.to_dict())

    def to_yaml(self) -> str:
        """Return YAML that `load_config` reads back unchanged, for any text in the settings."""
        return yaml.safe_dump(unexpanded(_plain(self.to_dict()), type(self)), sort_keys=False, allow_unicode=True)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _override(section: Any, changes: dict[str, Any]) -> Any:
    return type(section)(**(dataclasses.asdict(section) | changes)) if changes else section


def _plain(value: Any) -> Any:
    """Convert tuples to lists, so that the YAML has no Python tags."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
