"""Every setting of a run, with its unit, its default and what it does.

Sections are frozen and validated when they are made, so the rest of the system trusts them. Bounds that
hold for one field stand beside it; those that span fields are checked where the configuration is read.
"""

import dataclasses
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from mms_dist.config import values
from mms_dist.config.places import PLACE, local, unexpanded
from shards.errors import ShardsError
from shards.schema import parse_language

MOST = 10**9
"""No count, length or size of a run comes near; a larger one is a slip, and would overflow somewhere."""
MOST_THREADS = 4096


def _language(code: str) -> str:
    try:
        return parse_language(code)
    except ShardsError as error:
        raise ValueError(str(error)) from error


Number = BeforeValidator(values.number)
PositiveInt = Annotated[int, Field(gt=0, le=MOST), Number]
NonNegativeInt = Annotated[int, Field(ge=0, le=MOST), Number]
Seed = Annotated[int, Field(ge=0, lt=2**63), Number]
Threads = Annotated[int, Field(ge=0, le=MOST_THREADS), Number]
PositiveFloat = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False), Number]
NonNegativeFloat = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False), Number]
Probability = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), Number]
ForwardSeconds = Annotated[float, Field(ge=1, le=MOST, allow_inf_nan=False), Number]
Flag = Annotated[bool, BeforeValidator(values.flag)]
Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(values.switch)]
Text = Annotated[str, AfterValidator(values.text)]
Place = Annotated[str, AfterValidator(values.text), PLACE]
LocalPlace = Annotated[str, AfterValidator(values.text), AfterValidator(local), PLACE]
Language = Annotated[str, AfterValidator(_language)]

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class Run:
    """Where a run lives and what makes it repeatable."""

    directory: LocalPlace = "runs/default"
    """Checkpoints, events and TensorBoard files go here; the same directory resumes the run."""
    seed: Seed = 0
    """Keys the shuffling, SpecAugment, dropout and initial adapters, each together with the language."""
    device: Text = "auto"
    """`auto` (a GPU of its own for each process, else the CPU), `cpu`, `cuda` (a GPU, or an error), or `cuda:N`."""
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS), Number] | None = None
    """CPU threads of torch. None: torch's own choice where the run began, and the same number after a restart, since
    sums over threads depend on it."""
    stalled_restarts: NonNegativeInt = 3
    """Automatic restarts without a step taken, after which the run says that no further one will help; 0 is off."""


@dataclass(frozen=True, config=STRICT)
class Model:
    """The frozen base every language shares."""

    base: Place = "tiny-mms"
    """A folder or Hub name of a Wav2Vec2/MMS checkpoint with `do_stable_layer_norm`; `tiny-mms` is the shipped one."""
    dtype: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    """Arithmetic of the frozen base. `auto`: bfloat16 on a GPU that has it (compute capability 8.0), float32 on other
    GPUs and on a CPU. Adapter rows, optimizer and CTC are never below float32."""
    attention: Literal["auto", "padded", "packed"] = "auto"
    """`padded` fills the utterances of a forward pass up to the longest. `packed` lays them end to end in passes of
    constant size; on a GPU it needs compute capability 8.0 and bfloat16. `auto` is what was measured to be faster."""
    compile: Switch = "auto"
    """Compile the frozen layers (torch.compile). `auto`: on a GPU of compute capability 7.0 or later, in a run that is
    long enough to pay for it. Not with ZeRO-3, which wraps the same layers, and not with packed passes."""
    activation_checkpointing: Flag = False
    """Recompute each layer in the backward pass: less memory, about a third more arithmetic."""
    feature_cache_gib: NonNegativeFloat | None = None
    """Host memory of a process for the outputs of the frozen convolutional front end, so that later epochs skip it; 0
    is off. None: 2 on a CPU, and on a GPU a share of the free memory, by the processes of the machine. On a GPU no more
    is taken than a process may page-lock (half of the free memory, by the processes), and the log says so."""
    feature_spill_directory: LocalPlace | None = None
    """Node-local folder for the outputs that find no room in that memory; None computes those again."""


@dataclass(frozen=True, config=STRICT)
class Data:
    """The shards a run streams from."""

    shards: Place = "corpus"
    """Folder or URL that holds `<lang>/index.json` beside the tars."""
    languages: Annotated[tuple[Language, ...], AfterValidator(values.some)] | None = None
    """Languages to train; None trains every language of the shards."""
    workers: Threads | None = None
    """Threads that read and decode audio ahead of the model; changes no sample. None: by the cores a process has, 8 at
    most on a GPU and 2 on a CPU."""
    prefetch_rounds: NonNegativeInt = 2
    """Rounds of audio read ahead; changes no sample."""
    window_shards: PositiveInt = 8
    """Shards shuffled together: larger mixes better, smaller keeps reads more local."""
    max_seconds: PositiveFloat | None = None
    """Longer training utterances are left out, and counted; None admits all."""
    cache_directory: LocalPlace | None = None
    """Node-local folder for remote shards."""
    cache_gib: PositiveFloat = 50.0
    """Size that the node-local cache of remote shards is held to."""


@dataclass(frozen=True, config=STRICT)
class Adapter:
    """The trained part of a language: a bottleneck after every feed-forward block, and a CTC head."""

    dim: Annotated[int, Field(ge=1, le=1024), Number] = 16
    """Width of the bottleneck; MMS publishes 16. One value for the whole run."""
    init: Place = "mms"
    """`mms` (Hugging Face's N(0, 0.02)), `xavier`, `kaiming`, `identity` (up projection zero), or a file or folder
    of adapter files: one `adapter.<lang>.safetensors` for every language, or each language its own."""
    dropout: Probability = 0.0
    """Dropout on the bottleneck activations."""


@dataclass(frozen=True, config=STRICT)
class Augment:
    """SpecAugment on the front end's frames, as wav2vec 2.0 fine-tuning applies it (spans masked per utterance)."""

    time_prob: Probability = 0.05
    """Share of frames that start-of-span sampling aims to cover."""
    time_length: PositiveInt = 10
    """Frames in a masked span (one frame is 20 ms). Shorter utterances are left unmasked."""
    feature_prob: Probability = 0.0
    """The same over feature channels."""
    feature_length: PositiveInt = 64
    """Channels in a masked span."""


@dataclass(frozen=True, config=STRICT)
class Optim:
    """AdamW with decoupled weight decay; every language has its own clock, rate and clipping."""

    lr: PositiveFloat = 1e-3
    betas: tuple[Probability, Probability] = (0.9, 0.98)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    clip_norm: NonNegativeFloat = 1.0
    """Bound on the norm of a language's own gradient; 0 is off."""
    batch_seconds: PositiveFloat = 160.0
    """Audio in one optimizer step of one language."""
    warmup_steps: NonNegativeInt = 100
    steps: PositiveInt = 4000
    """Optimizer steps a language takes at most."""
    decay: Literal["linear", "constant"] = "linear"
    """After warm-up: down to zero at `steps`, or constant."""


@dataclass(frozen=True, config=STRICT)
class Rounds:
    """How much happens at once."""

    slots: PositiveInt = 64
    """Languages active together on a process; the others wait, longest remaining work first."""
    placement: Literal["owners", "replicate"] = "owners"
    """Of several processes: `owners` gives every language to one, or to a block that shares its batches; with
    `replicate` all of them share all languages."""
    forward_seconds: ForwardSeconds | None = None
    """Padded audio in one forward pass: the knob for memory. None: on a GPU what its free memory holds, 320 at most,
    and 32 on a CPU, where activations should stay in its cache."""


@dataclass(frozen=True, config=STRICT)
class Evaluation:
    """Greedy decoding of the dev split while training."""

    every_steps: PositiveInt = 200
    max_utterances: PositiveInt | None = None
    """Dev utterances a language, chosen once by a hash of their keys; None takes all."""
    forward_seconds: ForwardSeconds | None = None
    """Padded audio in one forward pass; None as for `rounds`."""


@dataclass(frozen=True, config=STRICT)
class Stopping:
    """When a language is done before its steps are."""

    patience: PositiveInt | None = 5
    """Evaluations without improvement of the dev CER; None is off."""
    min_improvement: NonNegativeFloat = 0.0
    """A smaller decrease of the CER (0.001 is 0.1 points) does not count as improvement."""
    target_cer: NonNegativeFloat | None = None
    """Stop once the dev CER is at or below this."""


@dataclass(frozen=True, config=STRICT)
class Checkpoint:
    """Every language is saved by itself."""

    every_rounds: PositiveInt = 200
    """Rounds between two checkpoints of a language; all active languages are saved after the same rounds."""
    keep: Annotated[int, Field(ge=1, le=MOST), Number] = 2
    """Newest whole checkpoints kept for a language, beside its best."""


@dataclass(frozen=True, config=STRICT)
class Comm:
    """How the processes of a run work together."""

    processes: PositiveInt | None = None
    """What the launcher must have started, or the run stops; None takes what there is."""
    timeout_seconds: Annotated[float, Field(ge=1, le=10**7, allow_inf_nan=False), Number] = 600.0
    """A process of which nothing has moved for this long, while others wait for it, is taken for hung. Longer than it
    takes to load the base, or to download it the first time."""
    deepspeed: Place | None = None
    """A DeepSpeed configuration (JSON) by which the frozen base is spread over the processes, see configs/deepspeed/.
    `accelerate launch --use_deepspeed --deepspeed_config_file FILE` says the same."""


@dataclass(frozen=True)
class LanguageSettings:
    """What one language is trained with: the run's sections with that language's overrides applied."""

    optim: Optim
    adapter: Adapter
    augment: Augment
    stopping: Stopping


PER_LANGUAGE = ("optim", "adapter", "augment", "stopping")
SHARED_BY_ALL = {"adapter": ("dim",)}
"""Fields of those sections that one language cannot have for itself: the rows of a bank have one shape."""


@dataclass(frozen=True, config=STRICT)
class Config:
    """One run."""

    run: Run = Field(default_factory=Run)
    model: Model = Field(default_factory=Model)
    data: Data = Field(default_factory=Data)
    adapter: Adapter = Field(default_factory=Adapter)
    augment: Augment = Field(default_factory=Augment)
    optim: Optim = Field(default_factory=Optim)
    rounds: Rounds = Field(default_factory=Rounds)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    stopping: Stopping = Field(default_factory=Stopping)
    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    comm: Comm = Field(default_factory=Comm)
    languages: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    """Overrides per language: `languages.ron.optim.lr: 5e-4`."""

    def for_language(self, language: str) -> LanguageSettings:
        """The settings of one language, its overrides applied."""
        own = self.languages.get(language, {})
        sections = {name: _override(getattr(self, name), own.get(name, {})) for name in PER_LANGUAGE}
        return LanguageSettings(**sections)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `parse_config` takes them."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        """As `load_config` reads it back, whatever its texts are."""
        return yaml.safe_dump(unexpanded(_plain(self.to_dict()), type(self)), sort_keys=False, allow_unicode=True)


def _override(section: Any, changes: dict[str, Any]) -> Any:
    return type(section)(**(dataclasses.asdict(section) | changes)) if changes else section


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML has nothing of Python in it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value
