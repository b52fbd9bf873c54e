"""Transcribe many recordings: read and cut them, compute outputs in full passes of mixed languages, decode, write."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.emissions.acoustic_model import AcousticModel, load_acoustic_model
from mms_dist.emissions.window_outputs import outputs_of
from mms_dist.emissions.windows import FRAME_SECONDS, WHOLE_SECONDS, Window, windows_of
from mms_dist.run_directory.tuned_weights import TunedWeights
from mms_dist.transcription.decode_segments import Outputs, decode_segments
from mms_dist.transcription.inputs import Item, Languages, check_named, find_items, languages_of
from mms_dist.transcription.language_choice import HEARD_SECONDS, Choices, learn_choices
from mms_dist.transcription.searches import Searches, choose_searches
from mms_dist.transcription.segmenter import Segmenter
from mms_dist.transcription.transcript import Segment, Transcript
from mms_dist.transcription.word_confidence import Confidences, learn_confidences
from shards.audio.audio_errors import UndecodableError
from shards.audio.containers.byte_source import MemorySource
from shards.audio.recording import Recording
from shards.schema import SAMPLE_RATE

SEGMENTS_AT_ONCE = 16
"""Segments that one process decodes side by side."""


def transcribe(
    model: str | Path,
    audio: str | Path | Sequence[str | Path] = (),
    *,
    lists: Sequence[str | Path] = (),
    language: Languages = None,
    calibrate_on: str | Path | None = None,
    lm: str | Path | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    beam_width: int | None = None,
    pointer: PointerName = "best",
    processes: int = 1,
    settings: Sequence[str] = (),
    on_audio: Callable[[float], object] = lambda seconds: None,
) -> Iterator[Transcript]:
    """Transcribe recordings, and yield a transcript of each as soon as it is complete, in order.

    A recording that cannot be read has an `error`; the others are still transcribed.

    Args:
        model: folder of a run or an export, or an MMS model with adapters, as a folder or Hub name.
        audio: files, or folders with files.
        lists: text files that name a recording in each line, and perhaps a tab and its language.
        language: of recordings that have none of their own; several: the likeliest is chosen for each.
        calibrate_on: shards from whose dev utterances the choice is learned, and how sure a word is, if they have 50
            words of the language; None: the choice from those of the run, and confidences are the model's own
            probabilities.
        lm: language model, or a folder with one for each language; None: as the section `evaluation` of the run and
            `settings` say, which is greedy decoding by default.
        alpha: weight of the language model; None: `evaluation.lm_alpha`, or as tuned for the run or export, or 0.5.
        beta: added for each word or character; None: `evaluation.lm_beta`, or as tuned for the run or export, or 1.
        beam_width: hypotheses kept after each frame; None: `evaluation.beam_width`, 100 by default.
        pointer: which checkpoint of a run, `best` or `last`.
        processes: how many processes decode.
        settings: changes to the configuration, such as `["--run.device", "cpu"]`.
        on_audio: called with the seconds of audio whose outputs were computed.

    Raises:
        MmsDistError: at the call itself, before any work, what is wrong with the arguments.
    """
    places = [str(audio)] if isinstance(audio, str | Path) else [str(each) for each in audio]
    items = find_items(places, [Path(each) for each in lists], language)
    check_named(items)
    loaded = load_acoustic_model(str(model), languages_of(items), pointer=pointer, settings=settings)
    choices = learn_choices(loaded, items, None if calibrate_on is None else str(calibrate_on))
    tuned = TunedWeights.beside(Path(model))
    searches = choose_searches(loaded, lm, alpha=alpha, beta=beta, beam_width=beam_width, tuned=tuned)
    confidences = {} if calibrate_on is None else learn_confidences(loaded, searches, str(calibrate_on))[0]

    def transcripts() -> Iterator[Transcript]:
        with SearchPool(processes) as pool:
            transcriber = Transcriber(loaded, searches, pool, choices, confidences=confidences, on_audio=on_audio)
            yield from transcriber.run(items)

    return transcripts()


@dataclass(kw_only=True)
class _Recording:
    """A recording that is being transcribed.

    `segments` are places in the results of decoding; `left` counts windows whose outputs are not computed yet.
    """

    item: Item
    number: int
    language: str
    probability: float | None = None
    seconds: float = 0.0
    segmenter: Segmenter | None = None
    segments: list[tuple[Future[list[Segment | None]], int]] = field(default_factory=list)
    left: int = 0
    error: str | None = None


class Transcriber:
    """Transcribes recordings with one model.

    Args:
        choices: for recordings that may have several languages.
        confidences: of words, by language; a language that is not there has those of the model's own probabilities.
        on_audio: called with the seconds of audio whose outputs were computed.
        on_recording: called with the seconds of a recording that is begun.
    """

    def __init__(
        self,
        model: AcousticModel,
        searches: Searches,
        pool: SearchPool,
        choices: Choices | None = None,
        *,
        confidences: Confidences | None = None,
        on_audio: Callable[[float], object] = lambda seconds: None,
        on_recording: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self._model = model
        self._searches = searches
        self._pool = pool
        self._choices = choices or {}
        self._confidences = confidences or {}
        self._on_audio = on_audio
        self._on_recording = on_recording

    def run(self, items: Iterable[Item]) -> Iterator[Transcript]:
        """Yield the transcripts in order, each as soon as it and those before it are complete."""
        waiting: deque[_Recording] = deque()
        chunk: list[tuple[_Recording, Window]] = []
        samples = 0
        for number, item in enumerate(items):
            recording = _Recording(item=item, number=number, language=item.languages[0])
            for window in self._in_its_language(recording, self._windows(recording)):
                recording.left += 1
                chunk.append((recording, window))
                samples += window.samples
                if samples >= self._model.chunk_samples:
                    self._compute(chunk)
                    chunk, samples = [], 0
            waiting.append(recording)
            yield from self._complete(waiting)
        self._compute(chunk)
        yield from self._complete(waiting)

    def _windows(self, recording: _Recording) -> Iterator[Window]:
        """Yield the windows of a recording; an error in it is kept for its transcript."""
        try:
            with _opened(recording.item) as opened:
                recording.seconds = opened.seconds
                self._on_recording(opened.seconds)
                if opened.seconds > WHOLE_SECONDS:
                    recording.segmenter = Segmenter()
                yield from windows_of(opened)
        except UndecodableError as error:
            recording.error = str(error.problem)

    def _in_its_language(self, recording: _Recording, windows: Iterator[Window]) -> Iterator[Window]:
        """Choose the language of a recording by its first windows, and yield all of them."""
        languages = recording.item.languages
        if len(languages) > 1:
            first: list[Window] = []
            for window in windows:
                first.append(window)
                if sum(len(each.audio) for each in first) >= HEARD_SECONDS * SAMPLE_RATE:
                    break
            heard = np.concatenate([np.empty(0, np.int16), *(each.audio for each in first)])
            if len(heard):
                chosen = self._choices[languages].choose(self._model, heard)
                recording.language, recording.probability = chosen
            yield from first
        yield from windows

    def _compute(self, chunk: Sequence[tuple[_Recording, Window]]) -> None:
        """Compute the outputs of some windows, and give the segments that are complete to the decoder."""
        if not chunk:
            return
        outputs = outputs_of(self._model, [(recording.language, window) for recording, window in chunk])
        segments: list[tuple[_Recording, Outputs]] = []
        for (recording, window), own_TV in zip(chunk, outputs, strict=True):
            cut = [(0, own_TV)] if recording.segmenter is None else recording.segmenter.add(own_TV)
            segments += [(recording, Outputs(*each)) for each in cut]
            recording.left -= 1
            self._on_audio(window.frames * FRAME_SECONDS)
        self._decode(segments)

    def _decode(self, segments: Sequence[tuple[_Recording, Outputs]]) -> None:
        """Decode segments, those of one language together."""
        by_language: dict[str, list[tuple[_Recording, Outputs]]] = {}
        for recording, outputs in segments:
            by_language.setdefault(recording.language, []).append((recording, outputs))
        for language, found in by_language.items():
            for start in range(0, len(found), SEGMENTS_AT_ONCE):
                part = found[start : start + SEGMENTS_AT_ONCE]
                vocabulary, search = self._model.vocabularies[language], self._searches[language]
                future = self._pool.submit(decode_segments, vocabulary, search, [outputs for _, outputs in part])
                for place, (recording, _) in enumerate(part):
                    recording.segments.append((future, place))

    def _complete(self, waiting: deque[_Recording]) -> Iterator[Transcript]:
        """Yield those at the front whose windows were all computed."""
        while waiting and not waiting[0].left:
            recording = waiting.popleft()
            if recording.segmenter is not None:
                self._decode([(recording, Outputs(*each)) for each in recording.segmenter.end()])
            found = [future.result()[place] for future, place in recording.segments]
            confidence = self._confidences.get(recording.language)
            yield Transcript(
                recording.item.name,
                recording.language,
                recording.seconds,
                tuple(confidence.calibrated(each) if confidence else each for each in found if each is not None),
                recording.error,
                recording.number,
                recording.probability,
            )


def _opened(item: Item) -> Recording:
    return Recording(MemorySource(sys.stdin.buffer.read()) if item.path is None else item.path)
