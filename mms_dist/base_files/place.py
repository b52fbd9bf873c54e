"""Where the files of a base lie on this machine, and how they are fetched."""

from pathlib import Path

from mms_dist.errors import BaseModelError
from shards.file_content import stand_in


def folder_of(path: str) -> Path | None:
    """The folder itself, or that of the Hub's cache; None if the base is not on this machine."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(path, "config.json")
    except HFValidationError:
        return None  # neither a folder nor a Hub name: reading its config.json says what is expected
    return Path(cached).parent if isinstance(cached, str) else None


def how_to_fetch(path: str) -> str:
    """The command that gets a base whole."""
    if Path(path).is_dir():
        return f"fetch the checkpoint again (hf download OWNER/NAME --local-dir {path})"
    return f"fetch the checkpoint again (hf download {path} --force-download)"


def check_content(file: Path, path: str) -> None:
    """A file of a base is there and is what its name says, as far as its beginning tells.

    Args:
        path: of the base, a folder or a Hub name.

    Raises:
        BaseModelError: it cannot be read, or something else lies in its place.
    """
    try:
        instead = stand_in(file)
    except OSError as error:
        raise BaseModelError(
            f"{file} cannot be read: {error.strerror or error}", fix=f"make it readable, or {how_to_fetch(path)}"
        ) from error
    if instead is not None:
        raise BaseModelError(f"{file} {instead}, or {how_to_fetch(path)}")
