"""Reject settings that cannot work on the hardware of a run, before anything is loaded."""

from collections.abc import Iterator

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.hardware.hardware import Hardware
from mms_dist.hardware.hardware_record import HARDWARE_NAME, Kept


def refusals(
    config: Config, hardware: Hardware, kept: Kept | None, *, dtype: str, attention: str, compiled: bool
) -> Iterator[ConfigError]:
    """Yield an error for each setting that cannot work, with the flag that changes it."""
    if dtype == "bfloat16" and not hardware.has_bfloat16:
        yield ConfigError(
            f"{_setting('model.dtype', 'bfloat16', config.model.dtype, kept)}, but {hardware} has no bfloat16 "
            "arithmetic, which needs compute capability 8.0",
            fix="pass --model.dtype float32, and no --mixed_precision bf16",
        )
    if attention == "packed" and hardware.on_gpu:
        setting = _setting("model.attention", "packed", config.model.attention, kept)
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
    setting = _setting("model.compile", "on", config.model.compile, kept)
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


def _setting(name: str, value: str, configured: str, kept: Kept | None) -> str:
    """Name a setting, and where its value comes from if it is not the configuration."""
    if configured == value or kept is None:
        return f"{name} is {value}"
    return f"this run began with {name} {value}, on {kept.hardware} (RUN/{HARDWARE_NAME})"
