"""Read a DeepSpeed JSON, reject settings that do not apply to a frozen base, and fill in the rest.

DeepSpeed only decides how the base's layers are stored (`zero_optimization`). Its engine's batch size, clipping,
optimizer and schedule would act on rows, but rows are outside the engine: every language has its own settings.
"""

from typing import Any

from mms_dist.errors import ConfigError
from mms_dist.files import UnreadableFileError, read_text
from shards import strict_json

SHARDING_STAGE = 3
"""The ZeRO stage that shards parameters. Stage 1 shards optimizer states, and stage 2 also gradients; a frozen base has
neither."""

_FIX = "use one like configs/deepspeed/zero3.json"


def read_settings(path: str) -> dict[str, Any]:
    """Read the JSON at `path`.

    Raises:
        ConfigError: it is missing, or is not a JSON object with `zero_optimization`.
    """
    try:
        text = read_text(path)
    except UnreadableFileError as error:
        raise ConfigError(f"DeepSpeed JSON {path!r} cannot be read ({error.found})", fix=error.fix or _FIX) from error
    try:
        settings = strict_json.parse(text)
    except strict_json.RepeatedKeyError as error:
        raise ConfigError(f"DeepSpeed JSON {path!r}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"DeepSpeed JSON {path!r} is not valid JSON ({error})", fix=_FIX) from error
    if not isinstance(settings, dict) or not isinstance(settings.get("zero_optimization"), dict):
        raise ConfigError(f"DeepSpeed JSON {path!r} has no section zero_optimization", fix=_FIX)
    return settings


def refuse_settings(settings: dict[str, Any], source: str) -> None:
    """Check DeepSpeed settings read from `source`.

    Raises:
        ConfigError: a setting would be ignored or would give wrong results.
    """
    zero = settings["zero_optimization"]
    stage = zero.get("stage")
    if isinstance(stage, bool) or not isinstance(stage, int) or stage not in range(SHARDING_STAGE + 1):
        raise ConfigError(f"{source}: found zero_optimization.stage {zero.get('stage')!r}, expected 0, 1, 2 or 3")
    if _enabled(settings, "fp16"):
        raise ConfigError(
            f"{source}: fp16 is enabled, expected off: float16 needs one loss scale for all languages of a pass",
            fix="remove the section fp16 and choose model.dtype bfloat16 or float32",
        )
    for section in ("optimizer", "scheduler"):
        if settings.get(section):
            raise ConfigError(
                f"{source}: found a section {section}, expected none: DeepSpeed only holds the frozen base, and every "
                "language has its own optimizer and schedule (section optim of the configuration)",
                fix=f"remove {section}",
            )
    for key in ("zero_quantized_weights", "zero_quantized_nontrainable_weights"):
        if zero.get(key) is True:
            raise ConfigError(
                f"{source}: zero_optimization.{key} is on, expected off: adapters would be trained on weights that "
                "differ from the base they are used with",
                fix="remove it",
            )


def fill_in_settings(settings: dict[str, Any]) -> None:
    """Set, in place, the values that mms-dist fixes, and remove `auto` values so that DeepSpeed's defaults apply."""
    _remove_auto(settings)
    # Only an engine that takes steps needs these; ours does not, and other values may contradict the world size.
    settings |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
    settings.pop("train_batch_size", None)
    # It replaces torch.nn.functional.linear in the whole process; FetchedLinear does the part we need.
    settings["zero_optimization"]["memory_efficient_linear"] = False


def _enabled(settings: dict[str, Any], section: str) -> bool:
    return isinstance(settings.get(section), dict) and settings[section].get("enabled") is True


def _remove_auto(settings: dict[str, Any]) -> None:
    for key, value in list(settings.items()):
        if isinstance(value, dict):
            _remove_auto(value)
        elif value == "auto":
            del settings[key]
