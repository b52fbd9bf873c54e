"""A dataset on the Hugging Face Hub: which of its configurations and splits are read, at which revision."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.errors import SourceError, first_line
from shards.languages import language_codes
from shards.sources.folder_names import EVALUATION, splits_named
from shards.sources.source_place import HubName
from shards.wording import nearest

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class HubConfiguration:
    """A configuration, and the languages that its name may stand for: none, often one, or several."""

    name: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HubSplits:
    """How the splits of a configuration are used.

    `read`: our name of each split that is read; None if rows are given to splits by their text. `left`: the others.
    """

    read: dict[str, str | None]
    left: list[str]


def load_configurations(name: HubName) -> list[HubConfiguration]:
    """Return all configurations of a dataset.

    Raises:
        SourceError: the Hub cannot be reached, or has no such dataset.
    """
    import datasets

    with hub_errors(name):
        found = datasets.get_dataset_config_names(_location(name), revision=name.revision)
    return [HubConfiguration(str(each), language_codes(str(each))) for each in found]


def load_builder(name: HubName, configuration: str) -> Any:
    """Return the builder of `datasets` for one configuration, without reading its data.

    Raises:
        SourceError: the Hub cannot be reached, or has no such configuration.
    """
    import datasets

    with hub_errors(name):
        return datasets.load_dataset_builder(_location(name), configuration, revision=name.revision)


def choose_configurations(
    name: HubName, found: Sequence[HubConfiguration], languages: Sequence[str]
) -> list[HubConfiguration]:
    """Return the configurations to read: the one that is named, the only one, or those of the languages.

    If a dataset has only one, any other name is that of a folder in it, as in the branch of the Hub that has every
    dataset as parquet files.

    Args:
        languages: those that the user wants.

    Raises:
        SourceError: there are several, and nothing says which.
    """
    named = [each for each in found if each.name == name.configuration]
    if named or len(found) == 1:
        return named or list(found)
    if name.configuration is not None:
        close = nearest(name.configuration, [each.name for each in found])
        raise SourceError(
            f"{name.repository} has no configuration {name.configuration!r}{close}; it has {_listed(found)}"
        )
    chosen = [each for each in found if set(each.languages) & set(languages)]
    if not chosen:
        none = f", none of them of {', '.join(languages)}" if languages else ""
        raise SourceError(
            f"{name.repository} has {len(found):,} configurations{none}: {_listed(found)}",
            fix=f"name one, as {name.repository}:{found[0].name}, or choose languages with --lang",
        )
    return chosen


def choose_splits(name: HubName, found: Sequence[str], split_from: str | None) -> HubSplits:
    """Return how splits are used, by their names. A split that is alone is no split: datasets call it `train`.

    Args:
        split_from: the only split to read, if the user named one.

    Raises:
        SourceError: no split is train, dev or test, or there is none of the name given.
    """
    if split_from is not None:
        if split_from not in found:
            close = nearest(split_from, found)
            raise SourceError(
                f"--split-from {split_from}: {name.repository} has no such split{close}; it has {', '.join(found)}"
            )
        return HubSplits({split_from: None}, [])
    if len(found) == 1:
        return HubSplits({found[0]: None}, [])
    named = {split: splits_named(split) for split in found}
    known = {split: next(iter(names)) for split, names in named.items() if len(names) == 1}
    evaluation = "test" if "dev" in known.values() else "dev"
    read: dict[str, str | None] = {split: evaluation if to == EVALUATION else to for split, to in known.items()}
    if not read:
        raise SourceError(
            f"no split of {name.repository} is train, dev or test; it has {', '.join(found)}",
            fix=f"choose one with --split-from {next(iter(found), 'NAME')}",
        )
    return HubSplits(read, [split for split in found if split not in read])


def fetched(name: HubName, revision: str, paths: Collection[str]) -> Path:
    """Fetch files into the cache of `huggingface_hub`, and return the folder that they are in by their paths."""
    import huggingface_hub

    root = Path()
    with hub_errors(name):
        for path in paths:
            copy = huggingface_hub.hf_hub_download(name.repository, path, repo_type="dataset", revision=revision)
            root = Path(copy.removesuffix(path))
    return root


@contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """Convert what `datasets` and `huggingface_hub` raise to errors that say what to do."""
    repository = name.repository
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # their errors, and those of the network below them, have no common base
        found = first_line(error)
        kind = type(error).__name__
        if kind == "DatasetNotFoundError":
            raise SourceError(
                f"{found.rstrip('.')}; there is no file or folder {repository} on this machine either",
                fix="check the name; for a private or gated dataset, log in with: hf auth login",
            ) from error
        if "Dataset scripts are no longer supported" in found:
            raise SourceError(
                f"{repository} is a script, which is never run",
                fix=f"use its data: {repository}@refs/convert/parquet; or download it and build from the folder: "
                f"hf download {repository} --repo-type dataset --local-dir FOLDER",
            ) from error
        raise SourceError(
            f"dataset {repository} on the Hugging Face Hub cannot be read ({kind}: {found}), "
            "and there is no such file or folder on this machine",
            fix="check the network, HF_ENDPOINT and HF_HUB_OFFLINE; or download it where there is a network and build "
            f"from the folder: hf download {repository} --repo-type dataset --local-dir FOLDER",
        ) from error


def _location(name: HubName) -> str:
    """Return the name in a form that is never taken for a folder of this machine."""
    return f"hf://datasets/{name.repository}"


def _listed(found: Sequence[HubConfiguration]) -> str:
    shown = ", ".join(each.name for each in found[:_SHOWN])
    return f"{shown} and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else shown
