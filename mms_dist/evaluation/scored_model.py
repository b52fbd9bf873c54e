"""What `mms-dist eval` scores: a run, or a folder of adapters such as an export, on shards that are named."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.config import Config, load_config, parse_config
from mms_dist.errors import CheckpointError, ConfigError
from mms_dist.evaluation.adapter_source import FolderAdapters
from mms_dist.evaluation.score_run import RunScorer, SplitScorer
from mms_dist.evaluation.scoring_options import ScoringOptions
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.tuned_weights import TunedWeights
from shards.index import ShardIndex

HUB = "hf:"
_SHOWN = 10


def scorer_of(
    place: str | Path,
    settings: Sequence[str],
    options: ScoringOptions,
    *,
    languages: Sequence[str] | None = None,
    pointer: PointerName = "best",
) -> tuple[Config, SplitScorer]:
    """Return what scores a run or a model, and the configuration that it is scored by.

    Args:
        place: folder of a run, an export or an MMS model, or `hf:` and a Hub name.
        settings: changes to the run's configuration. For a model, which has none, `--data.shards` is needed, and
            `--model.base` if it has adapters alone.
        languages: codes; None: all that have an adapter, and for a model those that the shards have as well.
        pointer: which checkpoint of a run.

    Raises:
        ConfigError: there is no such folder, or a setting is missing or wrong.
        CheckpointError: a language has no adapter, or the shards have none of the languages.
        DataError, ShardsError: as `SplitScorer` raises.
    """
    folder, name = Path(place), str(place).removeprefix(HUB)
    if RunPaths(folder).config.is_file():
        config = load_config(RunPaths(folder).config, settings)
        return config, RunScorer(folder, config, options, languages=languages, pointer=pointer)
    is_on_hub = str(place).startswith(HUB)
    if not is_on_hub and not (folder / "vocab.json").is_file():
        raise ConfigError(
            f"{RunPaths(folder).config} does not exist",
            fix="pass the folder of a run, such as runs/demo, or of an export (whose vocab.json is missing here), or "
            f"{HUB}OWNER/NAME for a model on the Hub",
        )
    if not any(setting.partition("=")[0] == "--data.shards" for setting in settings):
        raise ConfigError(
            f"{place} is not a run, so it does not say on which shards to score it",
            fix="name them with --data.shards SHARDS",
        )
    adapters = FolderAdapters(name)
    names_base = any(setting.partition("=")[0] == "--model.base" for setting in settings)
    if not names_base and not adapters.has_base:
        raise ConfigError(f"{place} has adapters alone", fix="name their base with --model.base BASE")
    config = parse_config({"model": {"base": name}}, settings)
    chosen, absent = _of_both(place, adapters, config.data.shards, languages)
    config = replace(config, adapter=replace(config.adapter, dim=adapters.dim(chosen[0])))
    tuned = TunedWeights.beside(folder, read_only=is_on_hub)
    return config, SplitScorer(config, adapters, options, languages=chosen, absent=absent, tuned=tuned)


def scored_elsewhere(run: Path, config: Config) -> str | None:
    """Say how the shards or the base of a configuration differ from those of a run; None if they are the same.

    The model card and the report publish the scores that a run stores as its own.

    Raises:
        ConfigError: the run's configuration cannot be read.
    """
    own = load_config(RunPaths(run).config)
    pairs = {
        "data.shards": (config.data.shards, own.data.shards),
        "model.base": (config.model.base, own.model.base),
    }
    different = [
        f"{name} {scored}, not the run's {trained}"
        for name, (scored, trained) in pairs.items()
        if scored != trained and not _are_one_place(scored, trained)
    ]
    return ", and ".join(different) or None


def _are_one_place(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # not both are here, or they are addresses
        return False


def _of_both(
    place: str | Path, adapters: FolderAdapters, shards: str, languages: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return the languages to score, and those that the shards lack.

    To score are those that are wanted, or all that the model and the shards have.
    """
    chosen, _ = adapters.choose(languages)
    if languages is not None:
        return chosen, []
    there = ShardIndex.load(shards).languages
    both = [code for code in chosen if code in there]
    if not both:
        more = ", …" if len(chosen) > _SHOWN else ""
        raise CheckpointError(
            f"{shards} has none of the languages of {place}", fix=f"it has {', '.join(chosen[:_SHOWN])}{more}"
        )
    return both, [code for code in chosen if code not in there]
