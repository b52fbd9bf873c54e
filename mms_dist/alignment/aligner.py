"""Align many recordings with their texts: the model computes the outputs of one while others are searched."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from mms_dist.alignment.emission_file import EmissionFile
from mms_dist.alignment.inputs import AlignmentItem
from mms_dist.alignment.lattice import Costs
from mms_dist.alignment.passage import PassageReader
from mms_dist.alignment.pauses import LevelMeter
from mms_dist.alignment.recording_alignment import Limits, RecordingAlignment, align_recording
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.emissions.acoustic_model import AcousticModel
from mms_dist.emissions.window_outputs import outputs_of_recording
from mms_dist.errors import DataError
from mms_dist.files import replace_text
from shards.audio.audio_errors import UndecodableError
from shards.audio.recording import Recording
from shards.errors import Problem
from shards.text_rules import RuleOptions, load_rules


@dataclass(frozen=True, slots=True)
class AlignedItem:
    """What was found in a recording; or why it could not be aligned."""

    item: AlignmentItem
    found: RecordingAlignment | None = None
    problem: Problem | None = None


class Aligner:
    """Aligns recordings with one model.

    Args:
        adapter: the language whose adapter hears all recordings; None: each its own. Where it is another than that of
            the recording, the text is trusted.
        trust_text: whether the text is always trusted, for adapters that hear little.
        limits: of the utterances.
        text_rules: how texts are normalised before they are searched for.
        on_audio: called with the seconds of audio whose outputs were computed.
    """

    def __init__(
        self,
        model: AcousticModel,
        pool: SearchPool,
        *,
        adapter: str | None = None,
        trust_text: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        text_rules: RuleOptions = RuleOptions(),  # noqa: B008
        on_audio: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self._model = model
        self._pool = pool
        self._adapter = adapter
        self._trust_text = trust_text
        self._limits = limits
        self._text_rules = text_rules
        self._on_audio = on_audio
        self._readers: dict[str, PassageReader] = {}

    def run(self, items: Sequence[AlignmentItem]) -> Iterator[AlignedItem]:
        """Yield the alignments in order, each as soon as it and those before it are complete."""
        waiting: deque[tuple[AlignmentItem, EmissionFile, Future[RecordingAlignment]]] = deque()
        try:
            for item in items:
                started = self._start(item)
                if isinstance(started, Problem):
                    while waiting:
                        yield _finished(*waiting.popleft())
                    yield AlignedItem(item, problem=started)
                    continue
                waiting.append((item, *started))
                while waiting and (waiting[0][2].done() or len(waiting) > 2 * self._pool.processes):
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            for _, outputs, _ in waiting:
                outputs.remove()

    def _start(self, item: AlignmentItem) -> tuple[EmissionFile, Future[RecordingAlignment]] | Problem:
        """Compute the outputs of a recording, and begin to search in them."""
        heard = self._adapter or item.language
        try:
            passage = self._reader(item.language).passage(item.read_lines())
            recording = Recording(item.audio)
        except (DataError, UndecodableError) as error:
            return error.problem
        with recording:
            levels = LevelMeter()
            pieces = outputs_of_recording(self._model, heard, recording, on_window=levels.add)
            try:
                outputs = EmissionFile.write(pieces, len(self._model.vocabularies[heard]))
            except UndecodableError as error:
                return error.problem
            except OSError as error:
                raise DataError(
                    f"the temporary folder cannot hold the outputs of {item.audio}: {error.strerror}",
                    fix="free space there, or name another folder with TMPDIR",
                ) from error
            self._on_audio(recording.seconds)
        costs = Costs.trusting() if self._trust_text or heard != item.language else Costs()
        try:
            found = self._pool.submit(align_recording, outputs, levels.levels_T, passage, self._limits, costs)
        except BaseException as error:  # with one process, the search is done here
            outputs.remove()
            if isinstance(error, OSError | BrokenProcessPool):
                return _problem(error)
            raise
        return outputs, found

    def _reader(self, language: str) -> PassageReader:
        if language not in self._readers:
            self._readers[language] = PassageReader(
                load_rules(language, self._text_rules),
                self._model.vocabularies[self._adapter or language],
                romanise=language.partition("-")[0] if self._adapter not in (None, language) else None,
            )
        return self._readers[language]


def _finished(item: AlignmentItem, outputs: EmissionFile, future: Future[RecordingAlignment]) -> AlignedItem:
    try:
        return AlignedItem(item, future.result())
    except (OSError, BrokenProcessPool) as error:
        return AlignedItem(item, problem=_problem(error))
    finally:
        outputs.remove()


def _problem(error: OSError | BrokenProcessPool) -> Problem:
    """Return why a search ended."""
    if isinstance(error, BrokenProcessPool):
        return Problem("a process that searched died, perhaps because memory ran out", "use fewer --processes")
    return Problem(
        f"the search cannot use the temporary folder: {error.strerror or error}",
        "free space there, or name another folder with TMPDIR",
    )


def write_manifest(path: Path, item: AlignmentItem, found: RecordingAlignment, model: str) -> None:
    """Write the utterances of a recording as a manifest that `shards build` reads.

    Args:
        model: the identity of base and adapter, which the scores are stored with.

    Raises:
        DataError: it cannot be written; the old one is unchanged.
    """
    audio = os.path.relpath(item.audio.absolute(), path.parent.absolute())
    rows = [
        {
            "audio": audio,
            "start": utterance.start,
            "end": utterance.end,
            "text": utterance.text,
            "lang": item.language,
            "align_score": utterance.score,
            "align_model": model,
            **({"speaker": item.speaker} if item.speaker else {}),
            "source": item.name,
        }
        for utterance in found.utterances
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    replace_text(path, text, fix="free space there, make the folder writable, or choose another --to", error=DataError)


def model_of(path: Path) -> str | None:
    """Return the model by which the utterances of a manifest were scored; None if it has none."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    try:
        return str(json.loads(first)["align_model"]) if first else None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a manifest of shards align", fix="move it away, or choose another --to"
        ) from error
