"""Another model, which is scored on the same utterances as a run: another run, an export, or an MMS model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.config import Config, load_config
from mms_dist.errors import CheckpointError, DataError
from mms_dist.evaluation.adapter_source import AdapterSource, FolderAdapters, RunAdapters
from mms_dist.evaluation.same_split import check_same_split
from mms_dist.evaluation.score_run import SplitScorer
from mms_dist.evaluation.scored_model import HUB
from mms_dist.evaluation.scoring_options import ScoringOptions
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.tuned_weights import TunedWeights
from shards.errors import Problem

_SHOWN = 10


class ComparedModel:
    """The other model, with what is needed to score it. Nothing is written, not even what `tune` finds.

    Args:
        place: folder of a run, an export or an MMS model, or `hf:` and a Hub name.
        config: of the run that it is compared with: its shards and settings of evaluation are used for both.
        languages: that the run is scored on.
        options, pointer: as for the run.

    Attributes:
        name: as the user wrote it.
        kind: `run` or `model`.
        scorer: scores the languages that both have.
        left_out: languages that it lacks, with the reason.
        note: why it is not known whether the other run was trained on other splits; None if it is.

    Raises:
        DataError: there is no such model, it has none of the languages, or it is a run with other splits or texts.
        MmsDistError, ShardsError: its configuration, adapters or the shards cannot be read.
    """

    def __init__(
        self,
        place: str,
        config: Config,
        languages: Sequence[str],
        options: ScoringOptions,
        *,
        pointer: PointerName = "best",
    ) -> None:
        self.name = place
        folder = Path(place)
        self.note: str | None = None
        adapters: AdapterSource
        if RunPaths(folder).config.is_file():
            self.kind = "run"
            adapters = RunAdapters(folder, pointer)
            common, self.left_out = _common(place, adapters, languages)
            other = load_config(RunPaths(folder).config)
            rules = ScoringRules(case="case" not in options.ignore, punctuation="punctuation" not in options.ignore)
            self.note = check_same_split(place, config.data.shards, other.data.shards, common, options.split, rules)
            model, adapter = other.model, other.adapter
        else:
            if not place.startswith(HUB) and not folder.is_dir():
                raise DataError(
                    f"{place} does not exist, expected the folder of a run, an export or an MMS model to compare with",
                    fix=f"check the path, or write {HUB}OWNER/NAME for a model on the Hub",
                )
            self.kind = "model"
            place = place.removeprefix(HUB)
            folders = FolderAdapters(place)
            adapters = folders
            common, self.left_out = _common(place, adapters, languages)
            # Adapters alone, in a folder or on the Hub, have no base: they are heard on that of the run.
            model = replace(config.model, base=place) if folders.has_base else config.model
            adapter = replace(config.adapter, dim=folders.dim(common[0]))
        self.scorer = SplitScorer(
            replace(config, model=model, adapter=adapter),
            adapters,
            options,
            languages=common,
            tuned=TunedWeights.beside(folder, read_only=True),
        )


def _common(place: str, adapters: AdapterSource, languages: Sequence[str]) -> tuple[list[str], dict[str, Problem]]:
    """Return the languages that the other model has, and those that it lacks."""
    present, _ = adapters.choose(None)
    common = [code for code in languages if code in present]
    if not common:
        more = ", …" if len(present) > _SHOWN else ""
        raise CheckpointError(
            f"{place} has none of the languages {', '.join(languages[:_SHOWN])}, so there is nothing to compare",
            fix=f"it has {', '.join(present[:_SHOWN])}{more}",
        )
    lacks = Problem(f"{place} does not have it")
    return common, {code: lacks for code in languages if code not in present}
