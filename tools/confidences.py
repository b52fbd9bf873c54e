"""Measure how well the confidences of words are calibrated on test: ``python -m tools.confidences RUN SHARDS [--lm]``.

They are learned from the dev utterances of each language. The measure is the expected calibration error in ten bins
(`mms_dist/transcription/word_confidence.py`); the last row is over the words of all languages.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mms_dist.emissions.acoustic_model import load_acoustic_model
from mms_dist.run_directory.tuned_weights import TunedWeights
from mms_dist.transcription.searches import choose_searches
from mms_dist.transcription.word_confidence import calibration_error, heard, is_right, learn_confidences
from shards.index import ShardIndex


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each language: words, share of right words, calibration error before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("shards")
    parser.add_argument("--lm", action="store_true", help="with the language models in the shards")
    options = parser.parse_args(arguments)
    index = ShardIndex.load(options.shards)
    model = load_acoustic_model(options.run, sorted(index.languages), settings=["--data.shards", options.shards])
    lm = options.shards if options.lm else None
    searches = choose_searches(model, lm, tuned=TunedWeights.beside(Path(options.run)))
    confidences, notes = learn_confidences(model, searches, options.shards)
    print("\n".join(notes))
    every: list[tuple[float, float, bool]] = []
    print("language  words  right %  before %  after %")
    for language, confidence in confidences.items():
        references, segments = heard(
            model, searches, index, language, "test", index.language(language).utterances("test")
        )
        rows = [
            (word.confidence, calibrated.confidence, right)
            for reference, segment in zip(references, segments, strict=True)
            if segment is not None
            for word, calibrated, right in zip(
                segment.words, confidence.calibrated(segment).words, is_right(reference, segment), strict=True
            )
        ]
        show(language, rows)
        every += rows
    show("all", every)


def show(name: str, rows: Sequence[tuple[float, float, bool]]) -> None:
    """Print one row."""
    before_W, after_W, right_W = np.array(rows).T
    errors = [calibration_error(sure_W, right_W > 0) for sure_W in (before_W, after_W)]
    print(f"{name:8}  {len(rows):5}  {100 * right_W.mean():7.1f}  {100 * errors[0]:8.1f}  {100 * errors[1]:7.1f}")


if __name__ == "__main__":
    main()
