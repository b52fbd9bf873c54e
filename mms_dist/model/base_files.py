"""Find a base's files on this machine, say how to fetch them, and read them without the library's noise."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mms_dist.errors import BaseModelError
from shards.file_content import detect_placeholder

SHIPPED_BASE = "tiny-mms"


def resolve_base(name_or_path: str) -> str:
    """Return the shipped base's folder for `tiny-mms`, and any other name unchanged."""
    if name_or_path == SHIPPED_BASE:
        return str(Path(__file__).resolve().parent.parent / "tiny_mms")
    return name_or_path


def folder_of(path: str) -> Path | None:
    """The base's folder, or its folder in the Hub cache; None if the base is not on this machine."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(path, "config.json")
    except HFValidationError:
        return None  # neither a folder nor a Hub name: reading config.json will raise the error
    return Path(cached).parent if isinstance(cached, str) else None


def how_to_fetch(path: str) -> str:
    """The fix that downloads a complete base."""
    if Path(path).is_dir():
        return f"fetch the checkpoint again (hf download OWNER/NAME --local-dir {path})"
    return f"fetch the checkpoint again (hf download {path} --force-download)"


def check_content(file: Path, path: str) -> None:
    """Check that a base's file exists and that its first bytes fit its name.

    Args:
        path: the base's folder or Hub name.

    Raises:
        BaseModelError: the file cannot be read, or is something else (such as a Git LFS pointer).
    """
    try:
        instead = detect_placeholder(file)
    except OSError as error:
        raise BaseModelError(
            f"{file} cannot be read: {error.strerror or error}", fix=f"make it readable, or {how_to_fetch(path)}"
        ) from error
    if instead is not None:
        raise BaseModelError(f"{file} {instead.found}", fix=f"{instead.fix}, or {how_to_fetch(path)}")


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Hide progress bars and warnings about unused heads, adapters and quantizers; mms-dist checks what matters."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
