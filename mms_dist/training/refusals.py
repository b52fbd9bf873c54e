"""What cannot work on the hardware of a run, found before anything is loaded."""

from collections.abc import Iterator

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.training.hardware import Hardware
from mms_dist.training.hardware_record import HARDWARE_NAME, Kept


def refusals(
    config: Config, hardware: Hardware, kept: Kept | None, *, dtype: str, attention: str, compiled: bool
) -> Iterator[ConfigError]:
    """What cannot work, each with the flag that decides otherwise."""
    if dtype == "bfloat16" and not hardware.has_bfloat16:
        yield ConfigError(
            f"{_said('model.dtype', 'bfloat16', config.model.dtype, kept)}, and {hardware} has no bfloat16 arithmetic, "
            "which begins at 8.0",
            fix="pass --model.dtype float32, and no --mixed_precision bf16",
        )
    if attention == "packed" and hardware.on_gpu:
        said, padded = _said("model.attention", "packed", config.model.attention, kept), "--model.attention padded"
        if not hardware.has_flash:
            yield ConfigError(
                f"{said}, whose kernels begin at compute capability 8.0, and this is {hardware}", fix=f"pass {padded}"
            )
        elif dtype != "bfloat16":
            yield ConfigError(
                f"{said}, whose kernels take half precision only, and model.dtype is {dtype}",
                fix=f"pass {padded}, or --model.dtype bfloat16",
            )
    if compiled and not hardware.can_compile:
        yield ConfigError(
            f"{_said('model.compile', 'on', config.model.compile, kept)}, whose kernels begin at compute capability "
            f"7.0, and this is {hardware}",
            fix="pass --model.compile off",
        )
    if compiled and attention == "packed":
        yield ConfigError(
            f"{_said('model.compile', 'on', config.model.compile, kept)}, and compiled layers take padded passes only",
            fix="pass --model.compile off, or --model.attention padded",
        )
    if compiled and hardware.base_is_sharded:
        yield ConfigError(
            f"{_said('model.compile', 'on', config.model.compile, kept)}, and ZeRO-3 wraps the same layers",
            fix="pass --model.compile off, or leave DeepSpeed out",
        )


def _said(name: str, value: str, asked: str, kept: Kept | None) -> str:
    if asked == value or kept is None:
        return f"{name} is {value}"
    return f"this run began with {name} {value}, on {kept.hardware} (RUN/{HARDWARE_NAME})"
