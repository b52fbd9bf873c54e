"""Find the language model of a language: one file for it, or a folder with models of many languages."""

from pathlib import Path

from mms_dist.errors import DataError
from shards.storage import local_path
from shards.wording import nearest

ARPA_NAME = "lm.arpa.gz"
BINARY_NAME = "lm.safetensors"
_SUFFIXES = (".safetensors", ".arpa.gz", ".arpa", ".bin", ".klm", ".binary")
"""In the order of preference: our own binary, ARPA, KenLM's binaries."""


def find_model(place: str | Path, language: str) -> Path:
    """Return the file of a language's model.

    Args:
        place: the file itself, or a folder with `<language>/lm.…` or `<language>.…` in it. The endings are
            `.safetensors`, `.arpa.gz`, `.arpa`, and KenLM's `.bin`, `.klm` and `.binary`; the first that is there is
            used.

    Raises:
        DataError: there is none, or the place is a URL.
    """
    place = on_this_machine(str(place))
    if place.is_file():
        return place
    if not place.is_dir():
        raise DataError(
            f"the language model {place} does not exist",
            fix="give a file, or a folder where `mms-dist lm build` has written models",
        )
    for suffix in _SUFFIXES:
        for path in (place / language / f"lm{suffix}", place / f"{language}{suffix}"):
            if path.is_file():
                return path
    present = languages_with_models(place)
    others = f"; there are models of {', '.join(present)}" if present else ""
    raise DataError(
        f"{place} has no language model of {language}{nearest(language, present)}{others}",
        fix=f"make it with: mms-dist lm build SHARDS --lang {language} --to {place}",
    )


def on_this_machine(place: str) -> Path:
    """Return the path of a file or folder of language models.

    Raises:
        DataError: it is a URL of another machine.
    """
    path = local_path(place)
    if path is None:
        raise DataError(
            f"{place} is not a file or folder, and language models are read from folders on this machine",
            fix="build with --to FOLDER (mms-dist lm build SHARDS --to FOLDER) and pass that folder",
        )
    return path


def languages_with_models(folder: Path) -> list[str]:
    """Return the languages whose models a folder has."""
    inside = {path.parent.name for suffix in _SUFFIXES for path in folder.glob(f"*/lm{suffix}")}
    beside = {path.name.removesuffix(suffix) for suffix in _SUFFIXES for path in folder.glob(f"*{suffix}")}
    return sorted(inside | beside)
