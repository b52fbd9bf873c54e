"""The Python functions that use a finished or running run; `train` is in `mms_dist.training.run`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mms_dist.checkpoint.initial_adapters import has_trained_head
from mms_dist.checkpoint.store import PointerName
from mms_dist.config import Config, load_config
from mms_dist.config.paths import literal
from mms_dist.errors import ConfigError, TrainingError
from mms_dist.evaluation.condition_scoring import Conditions
from mms_dist.evaluation.score_run import LanguageResult
from mms_dist.evaluation.scored_model import scorer_of
from mms_dist.evaluation.scoring_options import ScoringOptions
from mms_dist.language_model.finding import on_this_machine
from mms_dist.model.base import resolve_base
from mms_dist.publishing import CHECK_UTTERANCES
from mms_dist.publishing.export import ExportReport, export_run
from mms_dist.run_directory.paths import RunPaths


def run_config(run: str | Path, settings: Sequence[str] = ()) -> Config:
    """The configuration of a run, with settings such as `["--data.shards", "/new/corpus"]` applied.

    Raises:
        ConfigError: the folder is not that of a run, or a setting is wrong.
    """
    path = RunPaths(run).config
    if not path.is_file():
        raise ConfigError(f"{path} does not exist", fix="pass the folder of a run, such as runs/demo")
    return load_config(path, settings)


def evaluate(
    run: str | Path,
    *,
    split: str = "dev",
    languages: Sequence[str] | None = None,
    pointer: PointerName = "best",
    max_utterances: int | None = None,
    settings: Sequence[str] = (),
    lm: str | Path | None = None,
    tune: bool = False,
    processes: int = 1,
    ignore: Sequence[str] = (),
    conditions: Sequence[str] = (),
    noise: str | Path | None = None,
    on_utterances: Callable[[str, int], None] = lambda language, count: None,
) -> Mapping[str, LanguageResult]:
    """Decode a split and score it, one language after another. Only RUN/eval is written, by `tune`.

    Args:
        run: folder of a run. Or of an export or another MMS model, or `hf:OWNER/NAME`: then `settings` name the shards.
        split: `train`, `dev` or `test`.
        languages: codes; None takes all that have a checkpoint and the split.
        pointer: which checkpoint, `best` or `last`.
        max_utterances: of each language; None takes all.
        settings: changes to the run's configuration, such as `["--run.device", "cpu"]`.
        lm: language model, or a folder with one for each language: decode by beam search with it. `searched` of each
            result then has the greedy transcripts and scores as well.
        tune: find the weights of the language models on dev first, and keep them in RUN/eval.
        processes: how many processes search.
        ignore: differences that are not errors, `case` and `punctuation`.
        conditions: such as `["noise:20,10", "reverb"]`: score under these as well. `conditions` of each result then has
            the scores by label, `noise:20` for instance.
        noise: folder of recordings that the condition `noise` takes in place of babble.
        on_utterances: called with the code of each language before its first utterance and 0, then with the number of
            utterances that each forward pass decodes.

    Returns:
        By language code: scores with confidence intervals, the transcripts, the scores of groups of utterances (by
        speaker, duration, source and tag), and what is most often confused.

    Raises:
        TrainingError: a language could not be scored; all of them are named.
        MmsDistError, ShardsError: the run, the base or the shards cannot be used.
    """
    place = literal(str(on_this_machine(str(lm)))) if lm else ""
    with_lm = ["--evaluation.decoder", "beam_search", "--evaluation.language_model", place] if lm else []
    options = ScoringOptions(
        split=split,
        max_utterances=max_utterances,
        tune=tune,
        processes=processes,
        ignore=ignore,
        conditions=Conditions.of(conditions, noise),
    )
    _, scorer = scorer_of(run, [*settings, *with_lm], options, languages=languages, pointer=pointer)
    results = {result.language: result for result in scorer.results(on_utterances)}
    if scorer.failed:
        reasons = ", ".join(f"{language} ({problem})" for language, problem in scorer.failed.items())
        raise TrainingError(f"not every language could be scored: {reasons}", fix="leave these out with languages=…")
    return results


def export(
    run: str | Path,
    to: str | Path | None = None,
    *,
    languages: Sequence[str] | None = None,
    pointer: PointerName = "best",
    base: str | None = None,
    dtype: str | None = None,
    adapters_only: bool = False,
    folder_per_language: bool = False,
    onnx: bool = False,
    check_utterances: int = CHECK_UTTERANCES,
    repository: str | None = None,
    dataset: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    include_quarantined: bool = False,
    settings: Sequence[str] = (),
    on_language: Callable[[str, int, int], None] = lambda language, done, total: None,
) -> ExportReport:
    """Write a run's languages as a folder that Hugging Face loads, or as ONNX files. The run is only read.

    Args:
        run: folder of the run.
        to: RUN/export by default, RUN/onnx for ONNX files.
        languages: codes; None takes all that have a checkpoint.
        pointer: which checkpoint, `best` or `last`. A language that was never evaluated has only `last`.
        base: folder or Hub name of the base, if it has moved since the training.
        dtype: of the base's weights, `float32`, `float16` or `bfloat16`; None keeps them as they are.
        adapters_only: leave the base, tokenizer and preprocessor out.
        folder_per_language: write a folder for each language, each complete in itself. Always so with `onnx`.
        onnx: write ONNX files of the base with one adapter, which sherpa-onnx reads (extra `onnx`).
        check_utterances: how many test utterances of each language to compare the ONNX files with torch on; 0: none.
        repository: name on the Hub, `OWNER/NAME`, for the programs in the model card; `push` uploads.
        dataset: the corpus's name in the model card; None: the name of the folder of shards.
        force: move aside an existing output folder that is not an export.
        dry_run: read and check everything, write nothing.
        include_quarantined: also export languages in quarantine, from their last good checkpoints.
        settings: changes to the run's configuration, such as `["--data.shards", "/new/corpus"]`.
        on_language: called before each language with its code, how many are done, and of how many.

    Raises:
        NothingToExport: every language is in quarantine or untrained.
        CheckpointError, BaseModelError, DataError: what `mms_dist.publishing.export.export_run` raises.
        ConfigError: the folder is not that of a run; a package for ONNX files is missing; options exclude each other.
        OnnxError: an ONNX file does not compute what torch does.
    """
    config = run_config(run, settings)
    name = base or config.model.base
    writer_of = None
    if onnx:
        from mms_dist.publishing.onnx_folder import onnx_writer_of

        writer_of = onnx_writer_of(config, check_utterances, adapters_only=adapters_only, dtype=dtype)
        to = to or Path(run) / "onnx"
    return export_run(
        Path(run),
        None if to is None else Path(to),
        base_path=resolve_base(name),
        base_name=Path(name).name if Path(name).is_dir() else name,
        config=config,
        languages=languages,
        pointer=pointer,
        dtype="float32" if onnx else dtype,
        adapters_only=adapters_only,
        folder_per_language=folder_per_language or onnx,
        writer_of=writer_of,
        repository=repository,
        dataset=dataset,
        force=force,
        dry_run=dry_run,
        include_quarantined=include_quarantined,
        start_is_trained=lambda language: has_trained_head(config.for_language(language).adapter.init),
        on_language=on_language,
    )
