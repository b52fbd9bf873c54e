"""Find a base's files on this machine, and say how to fetch them."""

from pathlib import Path

from mms_dist.errors import BaseModelError
from shards.file_content import stand_in


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
        instead = stand_in(file)
    except OSError as error:
        raise BaseModelError(
            f"{file} cannot be read: {error.strerror or error}", fix=f"make it readable, or {how_to_fetch(path)}"
        ) from error
    if instead is not None:
        raise BaseModelError(f"{file} {instead.found}", fix=f"{instead.fix}, or {how_to_fetch(path)}")
