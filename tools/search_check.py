"""Check the beam search against a plain one on a run's dev and test: ``python -m tools.search_check RUN SHARDS``.

Every utterance is decoded with the language model of characters in the shards and the weights that were tuned for the
run: by the search with its usual pruning, by the search with the width as its only limit, and by the plain prefix
search with a dictionary of n-grams in `tests/slow_decoders.py`, which shares no code with either. It takes some seconds
an utterance.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from mms_dist.decoding.beam_search import Beam
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.decoding.search_settings import SearchSettings
from mms_dist.emissions.acoustic_model import AcousticModel, load_acoustic_model
from mms_dist.run_directory.tuned_weights import TunedWeights
from mms_dist.transcription.searches import choose_searches
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.slow_decoders import CharacterModel, decode


@dataclass(frozen=True)
class Checked:
    """What one utterance was decoded to: text and score of the usual, the unpruned and the plain search."""

    reference: str
    usual: tuple[str, float]
    unpruned: tuple[str, float]
    plain: tuple[str, float]


def check(reference: str, log_prob_TV: NDArray[np.float32], settings: SearchSettings) -> Checked:
    """Decode one utterance in the three ways."""
    assert settings.language_model is not None
    width = settings.beam.width
    unpruned = Beam(width, threshold=np.inf, token_threshold=-np.inf, tokens=None)
    found = []
    for beam in (settings.beam, unpruned):
        ((best, *_),) = replace(settings, beam=beam).search().decode([log_prob_TV])
        found.append((best.text, best.score))
    usual, without_pruning = found
    arpa = settings.language_model.with_name("lm.arpa.gz")
    model = CharacterModel(arpa, settings.alpha, settings.beta)
    plain = decode(log_prob_TV.astype(np.float64), settings.vocabulary, width, model)
    return Checked(reference, usual, without_pruning, plain)


def outputs(
    model: AcousticModel, index: ShardIndex, language: str, most: int | None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the transcript and the log-probabilities `[T, V]` of every dev and test utterance of a language."""
    reader = ShardReader(index)
    for split in ("dev", "test"):
        for row in range(index.language(language).utterances(split))[:most]:
            said = reader.read(language, split, row)
            (log_prob_TV,) = model.log_probs([language], [said.audio])
            yield said.text, log_prob_TV
    reader.close()


def show(name: str, found: Sequence[Checked]) -> None:
    """Print one row."""
    off = max(abs(each.unpruned[1] - each.plain[1]) for each in found)
    same = sum(each.unpruned[0] == each.plain[0] for each in found)
    usual = sum(each.usual[0] == each.plain[0] for each in found)
    characters = sum(len(each.reference) for each in found)
    errors = [
        100
        * sum(Levenshtein.distance(each.reference, text) for each, text in zip(found, texts, strict=True))
        / characters
        for texts in ([each.usual[0] for each in found], [each.plain[0] for each in found])
    ]
    print(
        f"{name:8}  {len(found):10}  {same:14}  {off:16.1e}  {usual:11}  {errors[0]:11.2f}  {errors[1]:11.2f}",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each language, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("shards", help="with a language model of characters for each language")
    parser.add_argument("--width", type=int, default=Beam().width)
    parser.add_argument("--most", type=int, help="utterances of each split and language (default: all)")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    index = ShardIndex.load(options.shards)
    model = load_acoustic_model(options.run, sorted(index.languages), settings=["--data.shards", options.shards])
    tuned = TunedWeights.beside(Path(options.run))
    searches = choose_searches(model, options.shards, beam_width=options.width, tuned=tuned)
    every: list[Checked] = []
    print("language  utterances  unpruned: same  score off, most  usual: same  usual CER %  plain CER %")
    with SearchPool(options.processes) as pool:
        for language in sorted(model.vocabularies):
            settings = searches[language]
            assert settings is not None
            said = list(outputs(model, index, language, options.most))
            futures = [pool.submit(check, text, log_prob_TV, settings) for text, log_prob_TV in said]
            own = [future.result() for future in futures]
            show(language, own)
            every += own
    show("all", every)


if __name__ == "__main__":
    main()
