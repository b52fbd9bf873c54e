"""How well long recordings are aligned and wrong transcripts are found, on speech that the adapters never saw.

    python -m tests.benchmarks.alignment SHARDS RUN [RUN …] [--draws 20] [--orders 3] [--hours 2] [--borrow rus:ita]
        [--trust-text] [--plot FILE.png]

For each language and run: the dev and test utterances are joined in random orders, and aligned with their texts as they
are, with 20 % of the words left out, with 20 % said twice in the text, and with others between them that were never
said. 10 % of the transcripts are exchanged among each other, in several draws, and looked for. --borrow aligns a
language with the adapter of another, through romanisation. The last part aligns a recording of some hours, and measures
memory.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import soundfile
from numpy.typing import NDArray

from mms_dist.alignment.cuts import SaidWord
from mms_dist.alignment.emission_file import EmissionFile
from mms_dist.alignment.lattice import Costs
from mms_dist.alignment.passage import Line, PassageReader
from mms_dist.alignment.pauses import LevelMeter, quietest_places
from mms_dist.alignment.recording_alignment import find_words
from mms_dist.alignment.score import score_of
from mms_dist.emissions.acoustic_model import AcousticModel, load_acoustic_model
from mms_dist.emissions.window_outputs import outputs_of_recording
from shards.audio.recording import Recording, Samples
from shards.flags.outliers import lowest_usual_score
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from shards.text_rules import load_rules
from tests.benchmarks.alignment_figures import TABLE_HEAD, Figures, draw, interval, precision_and_recall
from tests.benchmarks.conditions import conditions

WITHIN_SECONDS = 0.2
DAMAGED = 0.2
EXCHANGED = 0.1


@dataclass(frozen=True)
class Heard:
    """An utterance that the adapter never saw."""

    text: str
    audio: Samples
    log_prob_TV: NDArray[np.float32]


@dataclass(frozen=True)
class Joined:
    """Utterances one after the other: outputs of the recording, texts, and the times where they meet, in seconds.

    `levels_T` shows where it is quiet. `costs`: as `shards align` has them.
    """

    outputs: EmissionFile
    levels_T: NDArray[np.uint8]
    texts: list[str]
    bounds: NDArray[np.float64]
    costs: Costs


def unseen(model: AcousticModel, shards: Path, language: str, adapter: str | None = None) -> list[Heard]:
    """Return the dev and test utterances of a language, as its own adapter or another one hears them."""
    index = ShardIndex.load(str(shards), [language])
    reader = ShardReader(index)
    found = [
        reader.read(language, split, row)
        for split in ("dev", "test")
        for row in range(len(index.language(language).table(split)))
    ]
    outputs = model.log_probs([adapter or language] * len(found), [utterance.audio for utterance in found])
    return [Heard(each.text, each.audio, output) for each, output in zip(found, outputs, strict=True)]


def training_texts(shards: Path, language: str) -> list[str]:
    """Return the texts of training, none of which is in dev or test."""
    index = ShardIndex.load(str(shards), [language])
    reader = ShardReader(index)
    return [reader.read_text(language, "train", row) for row in range(len(index.language(language).table("train")))]


def join(
    model: AcousticModel, language: str, utterances: Sequence[Heard], order: int, folder: Path, costs: Costs
) -> Joined:
    """Join utterances in a random order, and compute the outputs of the recording as `shards align` does."""
    chosen = [utterances[place] for place in np.random.default_rng(order).permutation(len(utterances))]
    path = folder / f"{language}.wav"
    soundfile.write(path, np.concatenate([each.audio for each in chosen]), SAMPLE_RATE)
    levels = LevelMeter()
    with Recording(path) as recording:
        outputs = EmissionFile.write(
            outputs_of_recording(model, language, recording, on_window=levels.add), len(model.vocabularies[language])
        )
    bounds = np.cumsum([0, *(len(each.audio) for each in chosen)]) / SAMPLE_RATE
    return Joined(outputs, levels.levels_T, [each.text for each in chosen], bounds, costs)


def words_found(joined: Joined, reader: PassageReader, lines: Sequence[str]) -> list[SaidWord | None]:
    """Return where each word of some lines was found; None if it was not."""
    passage = reader.passage([Line(line) for line in lines])
    said, _ = find_words(joined.outputs, passage, joined.costs)
    by_place = {word.place: word for word in said}
    return [by_place.get(place) for place in range(len(passage.words))]


def boundary_errors(joined: Joined, reader: PassageReader) -> list[float]:
    """Return by how many seconds each boundary is off; infinite where a word beside it was not found.

    The boundary is where `shards align` would cut: the quietest place between the last word of an utterance and the
    first of the next one.
    """
    found = words_found(joined, reader, joined.texts)
    ends = np.cumsum([len(text.split()) for text in joined.texts])
    errors = []
    for number, end in enumerate(ends[:-1].tolist(), start=1):
        before, after = found[end - 1], found[end]
        if before is None or after is None:
            errors.append(np.inf)
        else:
            (place,) = quietest_places([before, after], joined.levels_T)
            errors.append(abs(place - joined.bounds[number]))
    return errors


NEVER_SAID = -1


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of the text, its number in the text as it was said, and that of its utterance, or `NEVER_SAID` twice."""

    word: str
    number: int
    utterance: int


def damaged(texts: Sequence[str], kind: str, random: np.random.Generator) -> Iterator[TextWord]:
    """Yield the words of texts; stretches of 3 to 12 of them are left out, or come twice."""
    said = [(word, utterance) for utterance, text in enumerate(texts) for word in text.split()]
    words = [TextWord(word, number, utterance) for number, (word, utterance) in enumerate(said)]
    hit = np.zeros(len(words), bool)
    while hit.sum() < DAMAGED * len(words):
        count = int(random.integers(3, 13))
        start = int(random.integers(0, len(words) - count))
        if not hit[max(start - 1, 0) : start + count + 1].any():
            hit[start : start + count] = True
    edges = [0, *(np.flatnonzero(np.diff(hit)) + 1).tolist(), len(words)]
    for start, stop in itertools.pairwise(edges):
        for _ in range({"deleted": 0, "doubled": 2}[kind] if hit[start] else 1):
            yield from words[start:stop]


def with_others(texts: Sequence[str], others: Sequence[str], random: np.random.Generator) -> Iterator[TextWord]:
    """Yield the words of texts, with stretches of 3 to 12 others, which were never said, after every 8 to 24."""
    said = [(word, utterance) for utterance, text in enumerate(texts) for word in text.split()]
    strange = [word for text in others for word in text.split()]
    begin = 0
    while begin < len(said):
        stop = begin + int(random.integers(8, 25))
        yield from (TextWord(said[number][0], number, said[number][1]) for number in range(begin, min(stop, len(said))))
        count = int(random.integers(3, 13))
        start = int(random.integers(0, len(strange) - count))
        yield from (TextWord(word, NEVER_SAID, NEVER_SAID) for word in strange[start : start + count])
        begin = stop


def share_placed(joined: Joined, reader: PassageReader, others: Sequence[str], seed: int) -> float:
    """Return the share of the words that were never said which were found in the recording."""
    words = list(with_others(joined.texts, others, np.random.default_rng(seed)))
    found = words_found(joined, reader, [each.word for each in words])
    return statistics.mean(
        where is not None for each, where in zip(words, found, strict=True) if each.number == NEVER_SAID
    )


def share_in_place(joined: Joined, reader: PassageReader, kind: str, seed: int) -> float:
    """Return the share of the words left in the text of which a copy was found within its utterance."""
    words = list(damaged(joined.texts, kind, np.random.default_rng(seed)))
    found = words_found(joined, reader, [each.word for each in words])
    right = {
        each.number
        for each, where in zip(words, found, strict=True)
        if where is not None
        and where.start >= joined.bounds[each.utterance] - WITHIN_SECONDS
        and where.end <= joined.bounds[each.utterance + 1] + WITHIN_SECONDS
    }
    return len(right) / len({each.number for each in words})


def exchange(utterances: Sequence[Heard], model: AcousticModel, language: str, number: int) -> tuple[int, int, int]:
    """Exchange transcripts and look for them; return how many were found, wrongly suspected, and missed."""
    random = np.random.default_rng([number, len(utterances)])
    chosen = random.permutation(len(utterances))[: max(2, round(EXCHANGED * len(utterances)))]
    texts = [each.text for each in utterances]
    for place, other in zip(chosen.tolist(), np.roll(chosen, 1).tolist(), strict=True):
        texts[place] = utterances[other].text
    encode = model.vocabularies[language].encode
    scores = np.array([score_of(each.log_prob_TV, encode(text)) for each, text in zip(utterances, texts, strict=True)])
    lowest = lowest_usual_score(scores)
    suspected = scores < (-np.inf if lowest is None else lowest)
    wrong = np.array([each.text != text for each, text in zip(utterances, texts, strict=True)])
    return int((suspected & wrong).sum()), int((suspected & ~wrong).sum()), int((~suspected & wrong).sum())


def measure_one(
    model: AcousticModel,
    language: str,
    utterances: Sequence[Heard],
    others: Sequence[str],
    *,
    orders: int,
    draws: int = 0,
    adapter: str | None = None,
    trust_text: bool = False,
) -> Figures:
    """Measure a language, and print its row.

    Args:
        others: texts of the language that were never said in `utterances`.
    """
    heard = adapter or language
    vocabulary = model.vocabularies[heard]
    greedy = [vocabulary.decode(each.log_prob_TV.argmax(axis=1).tolist()) for each in utterances]
    reader = PassageReader(load_rules(language), vocabulary, romanise=language if adapter else None)
    errors: list[float] = []
    in_place: dict[str, list[float]] = {"deleted": [], "doubled": []}
    placed: list[float] = []
    for order in range(orders):
        with tempfile.TemporaryDirectory() as folder:
            costs = Costs.trusting() if adapter or trust_text else Costs()
            joined = join(model, heard, utterances, order, Path(folder), costs)
        errors += boundary_errors(joined, reader)
        for kind, shares in in_place.items():
            shares.append(share_in_place(joined, reader, kind, order))
        placed.append(share_placed(joined, reader, others, order))
        joined.outputs.remove()
    figures = Figures(
        name=f"{language} by {adapter}" if adapter else language,
        cer=float(jiwer.cer([each.text for each in utterances], greedy)),
        boundaries=len(errors),
        within=float(np.mean(np.array(errors) <= WITHIN_SECONDS)),
        error=float(np.median(errors)),
        deleted=statistics.mean(in_place["deleted"]),
        doubled=statistics.mean(in_place["doubled"]),
        never_said=statistics.mean(placed),
        exchanged=np.array([exchange(utterances, model, language, number) for number in range(draws)], np.int64),
    )
    print(figures.row(), flush=True)
    return figures


def measure(
    model: AcousticModel,
    languages: Sequence[str],
    shards: Path,
    *,
    orders: int,
    draws: int,
    borrowed: Sequence[tuple[str, str]],
    trust_text: bool,
) -> list[Figures]:
    """Print a row for each language, and the search for exchanged transcripts pooled over all of them."""
    print(TABLE_HEAD)
    found = [
        measure_one(
            model,
            language,
            unseen(model, shards, language),
            training_texts(shards, language),
            orders=orders,
            draws=draws,
            trust_text=trust_text,
        )
        for language in languages
    ]
    for language, adapter in borrowed:
        heard, others = unseen(model, shards, language, adapter), training_texts(shards, language)
        measure_one(model, language, heard, others, orders=orders, adapter=adapter)
    pooled = [precision_and_recall(each) for each in np.sum([figures.exchanged for figures in found], axis=0)]
    precision, recall = (interval(shares) for shares in zip(*pooled, strict=True))
    print(f"exchanged transcripts, pooled, {draws} draws: precision {precision}, recall {recall}")
    return found


def long_recording(run: Path, shards: Path, language: str, hours: float) -> None:
    """Align a recording of some hours in a process of its own, and print its time and memory."""
    index = ShardIndex.load(str(shards), [language])
    reader = ShardReader(index)
    count = len(index.language(language).table("train"))
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in (("short", 600.0), ("long", 3600 * hours)):
            random = np.random.default_rng(1)
            talk = Path(folder) / name / "talk.wav"
            talk.parent.mkdir()
            lines, written = [], 0
            with soundfile.SoundFile(talk, "w", SAMPLE_RATE, 1) as sound:
                while written < seconds * SAMPLE_RATE:
                    utterance = reader.read(language, "train", int(random.integers(count)))
                    sound.write(utterance.audio)
                    written += len(utterance.audio)
                    lines.append(utterance.text)
            talk.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            command = ["-m", "launcher", "shards", "align", str(run), str(talk), "--lang", language]
            begun = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, *command, "--to", str(talk.parent), "--processes", "1"],
                stdout=subprocess.PIPE,
                text=True,
            )
            said = process.stdout.read() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            assert status == 0, said
            print(
                f"{written / SAMPLE_RATE / 60:.0f} minutes: {time.monotonic() - begun:.0f} s, "
                f"peak memory of the process {usage.ru_maxrss / 1024:.0f} MiB; {said.splitlines()[0]}",
                flush=True,
            )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.alignment", description=__doc__)
    parser.add_argument("shards", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--hours", type=float, default=2.0, help="of the long recording; 0: none")
    parser.add_argument("--trust-text", action="store_true", help="as shards align has it")
    parser.add_argument("--plot", type=Path, help="a PNG: all of it against the CER of languages and runs")
    parser.add_argument("--borrow", nargs="*", default=[], metavar="LANG:ADAPTER")
    asked = parser.parse_args()
    for name, value in conditions(threads=int(os.environ.get("OMP_NUM_THREADS", "0"))).items():
        print(f"{name:<14} {value}")
    languages = ShardIndex.load(str(asked.shards)).languages
    borrowed = [tuple(pair.split(":")) for pair in asked.borrow]
    found: list[Figures] = []
    for run in asked.runs:
        print(f"\n{run.name}")
        model = load_acoustic_model(str(run), languages)
        found += measure(
            model,
            languages,
            asked.shards,
            orders=asked.orders,
            draws=asked.draws,
            borrowed=borrowed,
            trust_text=asked.trust_text,
        )
    if asked.plot:
        draw(found, asked.plot)
    if asked.hours:
        long_recording(asked.runs[0], asked.shards, languages[0], asked.hours)
    return 0


if __name__ == "__main__":
    sys.exit(main())
