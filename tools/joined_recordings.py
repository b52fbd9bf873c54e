"""Measure whether joined recordings read like single ones: ``python -m tools.joined_recordings RUN SHARDS``.

The test sentences of each language are joined in random orders with pauses of digital silence, and decoded greedily.
The figures are the change of the CER against the sentences one by one, in points, and the share of the text that is not
the same: with pauses of any length, with pauses of whole frames, so that every sentence begins with a frame as it does
alone, and for single sentences that begin a little later.
"""

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from rapidfuzz.distance import Levenshtein

from mms_dist.emissions.acoustic_model import AcousticModel, load_acoustic_model
from mms_dist.emissions.window_outputs import outputs_of_recording
from mms_dist.emissions.windows import FRAME_SAMPLES
from shards.audio.recording import Recording, Samples
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE

SHORTEST_PAUSE, LONGEST_PAUSE = 0.3, 1.5
LATER_SAMPLES = 120


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
        for name, step in (("pauses of any length", 1), ("pauses of whole frames", FRAME_SAMPLES)):
            means = []
            for said in everyone:
                changes = []
                for number in range(options.orders):
                    generator = random.Random(f"{said.language} {number}")
                    order = generator.sample(range(len(said.audio)), len(said.audio))
                    audio = joined(said, order, generator, step=step)
                    text = heard_joined(model, said.language, audio, Path(folder) / "joined.wav")
                    changes.append(said.change(order, text))
                means.append(show(name, said, changes))
            print(f"{name:35}  mean of {len(means)}          {np.mean(means):+10.2f}")
    name, silence = f"single, {1000 * LATER_SAMPLES / SAMPLE_RATE:g} ms later", np.zeros(LATER_SAMPLES, np.int16)
    means = []
    for said in everyone:
        later = greedy(model, said.language, [np.concatenate([silence, each]) for each in said.audio])
        order = list(range(len(later)))
        means.append(show(name, said, [said.change(order, " ".join(filter(None, later)))]))
    print(f"{name:35}  mean of {len(means)}          {np.mean(means):+10.2f}")


def show(name: str, said: Said, changes: Sequence[tuple[float, float]]) -> float:
    """Print one row; return the mean change of the CER."""
    change_D, differs_D = np.array(changes).T
    print(
        f"{name:35}  {said.language:8}  {len(said.audio):9}  {change_D.mean():+10.2f}  {change_D.std():.1f}  "
        f"{differs_D.mean():19.1f}",
        flush=True,
    )
    return float(change_D.mean())


if __name__ == "__main__":
    main()
