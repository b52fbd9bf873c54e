"""A DeepSpeed JSON: read, refused where it asks for what a frozen base cannot give, and settled where it is open.

What DeepSpeed may decide here is how the base's layers are kept (`zero_optimization`). Batch sizes, clipping, optimizer
and schedule of its engine would act on rows, and rows are outside of it: every language has its own.
"""

from typing import Any

from mms_dist.errors import ConfigError
from mms_dist.files import read_text
from shards import strict_json

SHARDING_STAGE = 3
"""Of ZeRO: it shards parameters. Stage 1 shards optimizer states and 2 gradients too, and a frozen base has neither."""

_EXPECTED = "expected one like configs/deepspeed/zero3.json"


def read_settings(path: str) -> dict[str, Any]:
    """The JSON at `path`.

    Raises:
        ConfigError: it is missing, or is no JSON object with `zero_optimization`.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"DeepSpeed JSON {path!r} cannot be read ({reason})", fix=f"{_EXPECTED}") from error
    try:
        settings = strict_json.parse(text)
    except strict_json.RepeatedKeyError as error:
        raise ConfigError(f"DeepSpeed JSON {path!r}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"DeepSpeed JSON {path!r} is no JSON ({error})", fix=f"{_EXPECTED}") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("zero_optimization"), dict):
        raise ConfigError(f"DeepSpeed JSON {path!r} has no section zero_optimization", fix=f"{_EXPECTED}")
    return settings


def refuse_settings(settings: dict[str, Any], source: str) -> None:
    """Raises:
    ConfigError: the settings, which came from `source`, ask for something that would be ignored or would be wrong.
    """
    zero = settings["zero_optimization"]
    stage = zero.get("stage")
    if isinstance(stage, bool) or not isinstance(stage, int) or stage not in range(SHARDING_STAGE + 1):
        raise ConfigError(f"{source}: found zero_optimization.stage {zero.get('stage')!r}, expected 0, 1, 2 or 3")
    if _enabled(settings, "fp16"):
        raise ConfigError(
            f"{source}: found fp16.enabled, expected it off: float16 needs one loss scale for all languages of a pass",
            fix="remove the section fp16 and choose model.dtype bfloat16 or float32",
        )
    for section in ("optimizer", "scheduler"):
        if settings.get(section):
            raise ConfigError(
                f"{source}: found a section {section}, expected none: DeepSpeed holds the frozen base only, and every "
                "language has its own optimizer and schedule (section optim of the configuration)",
                fix=f"remove {section}",
            )
    for key in ("zero_quantized_weights", "zero_quantized_nontrainable_weights"):
        if zero.get(key) is True:
            raise ConfigError(
                f"{source}: found zero_optimization.{key}, expected it off: adapters would be trained on other weights "
                "than the base's own, on which they are used",
                fix="remove it",
            )


def settle_settings(settings: dict[str, Any]) -> None:
    """Fill in, in place, what has one answer here, and leave to DeepSpeed's defaults what says `auto`."""
    _remove_auto(settings)
    # Bookkeeping of an engine that steps; ours never does, and a number from elsewhere may contradict the world's size.
    settings |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
    settings.pop("train_batch_size", None)
    # It replaces torch.nn.functional.linear for the whole process; what is needed of that, FetchedLinear does.
    settings["zero_optimization"]["memory_efficient_linear"] = False


def _enabled(settings: dict[str, Any], section: str) -> bool:
    return isinstance(settings.get(section), dict) and settings[section].get("enabled") is True


def _remove_auto(settings: dict[str, Any]) -> None:
    for key, value in list(settings.items()):
        if isinstance(value, dict):
            _remove_auto(value)
        elif value == "auto":
            del settings[key]
