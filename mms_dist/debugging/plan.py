"""The plan of the run for each language, and the part that is debugged."""

from collections.abc import Sequence

from mms_dist.config import Config
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.data.training_stream import training_stream
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.report import LanguageLine


def plan_lines(config: Config, summaries: Sequence[LanguageSummary], bench: Bench) -> list[LanguageLine]:
    """Return a line per debugged language; `config` and `summaries` are those of the whole run."""
    entries = {entry.language: entry for entry in summaries}
    return [_line(config, entries[language], bench) for language in bench.languages]


def _line(config: Config, entry: LanguageSummary, bench: Bench) -> LanguageLine:
    stream = training_stream(config, bench.index.language(entry.language))
    batch = bench.batches[entry.language]
    return LanguageLine(
        language=entry.language,
        utterances=entry.utterances,
        seconds=entry.seconds,
        left_out=entry.left_out,
        tokens=entry.vocabulary_size,
        steps_planned=entry.steps,
        batches_an_epoch=len(stream.batches(0)),
        batch_utterances=len(batch.utterances),
        batch_seconds=batch.audio_seconds,
    )
