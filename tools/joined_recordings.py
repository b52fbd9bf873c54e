"""Measure whether joined recordings read like single ones: ``python -m tools.joined_recordings RUN SHARDS``.

The test sentences of each language are joined in random orders with pauses of digital silence, and decoded greedily.
The figures are the change of the CER against the sentences one by one, in points, and the share of the text that is not
the same: with pauses of any length, with pauses of whole frames, so that every sentence begins with a frame as it does
alone, and for single sentences that begin at eight places of a frame, the first sample among them. In joined recordings
sentences begin anywhere in a frame, so what joining itself costs is the difference between the first and the third; it
comes last.
"""

import argparse
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from mms_dist.emissions.acoustic_model import AcousticModel, load_acoustic_model
from mms_dist.emissions.window_outputs import outputs_of_recording
from shards.audio.recording import Recording, Samples
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import FRAME_SAMPLES, SAMPLE_RATE

SHORTEST_PAUSE, LONGEST_PAUSE = 0.3, 1.5
PLACES = 8
"""Number of places in a frame, evenly spaced, where single sentences begin."""

Means = NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """Sentences of one language: audio, transcripts, and what is heard one by one."""

    language: str
    audio: Sequence[Samples]
    texts: Sequence[str]
    alone: Sequence[str]

    def change(self, order: Sequence[int], heard: str) -> tuple[float, float]:
        """Return the change of the CER of what is heard in this order, in points, and the share that differs in %."""
        reference = " ".join(self.texts[place] for place in order)
        alone = " ".join(self.alone[place] for place in order if self.alone[place])
        more = Levenshtein.distance(reference, heard) - Levenshtein.distance(reference, alone)
        return 100 * more / len(reference), 100 * Levenshtein.distance(alone, heard) / max(len(alone), 1)


def greedy(model: AcousticModel, language: str, audio: Sequence[Samples]) -> list[str]:
    """Return the text of each recording as a whole."""
    outputs = model.log_probs([language] * len(audio), audio)
    return [model.vocabularies[language].decode(each.argmax(axis=1).tolist()) for each in outputs]


def read(model: AcousticModel, index: ShardIndex, language: str) -> Said:
    """Read the test sentences of a language."""
    reader = ShardReader(index)
    said = [reader.read(language, "test", row) for row in range(index.language(language).utterances("test"))]
    reader.close()
    audio = [each.audio for each in said]
    return Said(language, audio, [each.text for each in said], greedy(model, language, audio))


def joined(said: Said, order: Sequence[int], generator: random.Random, *, step: int) -> Samples:
    """Join sentences, each with its pause as long as a multiple of `step` samples."""
    pieces = []
    for place in order:
        pause = int(generator.uniform(SHORTEST_PAUSE, LONGEST_PAUSE) * SAMPLE_RATE)
        until_step = -(len(said.audio[place]) + pause) % step
        pieces += [said.audio[place], np.zeros(pause + until_step, np.int16)]
    return np.concatenate(pieces)


def heard_joined(model: AcousticModel, language: str, audio: Samples, path: Path) -> str:
    """Return the greedy text of a long recording."""
    soundfile.write(path, audio, SAMPLE_RATE)
    with Recording(path) as recording:
        log_prob_TV = np.concatenate(list(outputs_of_recording(model, language, recording)))
    return model.vocabularies[language].decode(log_prob_TV.argmax(axis=1).tolist())


def in_orders(model: AcousticModel, said: Said, orders: int, *, step: int, folder: Path) -> list[tuple[float, float]]:
    """Return what `Said.change` does for recordings of the sentences joined in random orders."""
    changes = []
    for number in range(orders):
        generator = random.Random(f"{said.language} {number}")
        order = generator.sample(range(len(said.audio)), len(said.audio))
        audio = joined(said, order, generator, step=step)
        changes.append(said.change(order, heard_joined(model, said.language, audio, folder / "joined.wav")))
    return changes


def later(model: AcousticModel, said: Said, place: int) -> tuple[float, float]:
    """Return what `Said.change` does for single sentences that begin at a place of a frame."""
    silence = np.zeros(place * FRAME_SAMPLES // PLACES, np.int16)
    heard = greedy(model, said.language, [np.concatenate([silence, each]) for each in said.audio])
    return said.change(range(len(heard)), " ".join(filter(None, heard)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each language and kind of joining, and the means over languages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("shards")
    parser.add_argument("--orders", type=int, default=8, help="random orders (default: 8)")
    options = parser.parse_args(arguments)
    index = ShardIndex.load(options.shards)
    model = load_acoustic_model(options.run, sorted(index.languages), settings=["--data.shards", options.shards])
    everyone = [read(model, index, language) for language in sorted(model.vocabularies)]
    print("joined                               language  sentences  CER change  sd  text that differs %")
    with tempfile.TemporaryDirectory() as folder:

        def of_joined(step: int) -> Iterator[list[tuple[float, float]]]:
            return (in_orders(model, said, options.orders, step=step, folder=Path(folder)) for said in everyone)

        joined_L = show("pauses of any length", everyone, of_joined(1))
        show("pauses of whole frames", everyone, of_joined(FRAME_SAMPLES))
    single = ([later(model, said, place) for place in range(PLACES)] for said in everyone)
    single_L = show(f"single, at {PLACES} places of a frame", everyone, single)
    costs = [*zip([said.language for said in everyone], joined_L - single_L, strict=True)]
    for language, cost in [*costs, ("mean", (joined_L - single_L).mean())]:
        print(f"{'joining itself':35}  {language:8}  {'':9}  {cost:+10.2f}")


def show(kind: str, everyone: Sequence[Said], changes: Iterable[Sequence[tuple[float, float]]]) -> Means:
    """Print the rows of one kind; return the mean change of each language's CER."""
    means = []
    for said, own in zip(everyone, changes, strict=True):
        change_D, differs_D = np.array(own).T
        means.append(change_D.mean())
        print(
            f"{kind:35}  {said.language:8}  {len(said.audio):9}  {means[-1]:+10.2f}  {change_D.std():.1f}  "
            f"{differs_D.mean():19.1f}",
            flush=True,
        )
    print(f"{kind:35}  {'mean':8}  {'':9}  {np.mean(means):+10.2f}")
    return np.array(means)


if __name__ == "__main__":
    main()
