"""How well copies, clipping and texts in other languages are found, and what measuring costs.

    python -m tests.benchmarks.flags SHARDS [--draws 20]

Copies: every utterance from a second on is stored in another format at another level without its first 0.25 to 0.3
seconds, and compared with all utterances of its language. Pairs that are flagged without any of that are listed, to be
heard. Clipping: a gain of 3 and 6 dB beyond full scale. Languages: 5 % of the texts are exchanged for texts of other
languages of SHARDS, in several draws; as in `shards flag`, only texts of train are counted. Texts and searches:
utterances made of words of SHARDS.
"""

import argparse
import random
import resource
import time
from collections.abc import Sequence

import numpy as np

from shards.audio.codec import encode_flac
from shards.audio.recording import Samples
from shards.flags.copies import earlier_copies, equal_bytes
from shards.flags.fingerprint import fingerprint
from shards.flags.language_models import LanguageModels
from shards.flags.measures import measure
from shards.flags.names import FLAGS
from shards.index import ShardIndex
from shards.near_texts import earlier_texts
from shards.read import RawUtterance, ShardReader
from shards.schema import SAMPLE_RATE
from tests.benchmarks.conditions import conditions
from tests.demo_clips import copy_of

FORMATS = {
    "MP3": ("MP3", "MPEG_LAYER_III"),
    "Opus": ("OGG", "OPUS"),
    "Vorbis": ("OGG", "VORBIS"),
    "µ-law": ("WAV", "ULAW"),
}
LENGTHS = ((1.0, 1.5), (1.5, 2.5), (2.5, 30.0))
EXCHANGED = 0.05
LONG_TEXT = 20
LARGE = 100_000


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", metavar="SHARDS")
    parser.add_argument("--draws", type=int, default=20)
    arguments = parser.parse_args(argv)
    print("\n".join(f"{name}: {value}" for name, value in conditions(threads=1).items()))
    corpus = read(arguments.shards)
    copies(corpus)
    clipping(corpus)
    index = ShardIndex.load(arguments.shards)
    train = {code: index.language(code).utterances("train") for code in corpus}
    languages({code: [each.text for each in own] for code, own in corpus.items()}, train, arguments.draws)
    cost([each.audio for own in corpus.values() for each in own])
    large([word for own in corpus.values() for each in own for word in each.text.split()])


def read(root: str) -> dict[str, list[RawUtterance]]:
    """Return all utterances by language."""
    index = ShardIndex.load(root)
    reader, found = ShardReader(index), {}
    for code in index.languages:
        language = index.language(code)
        found[code] = [
            reader.read(code, split, row) for split in language.splits for row in range(language.utterances(split))
        ]
    reader.close()
    return found


def copies(corpus: dict[str, list[RawUtterance]]) -> None:
    """Print how many copies are found, by format and length, and every pair that is flagged without any."""
    threshold = FLAGS["near_duplicate_audio"].threshold
    draw = np.random.default_rng(0)
    for name, (container, subtype) in FORMATS.items():
        found = {length: [0, 0] for length in LENGTHS}
        wrong = 0
        for own in corpus.values():
            prints = [fingerprint(each.audio) for each in own]
            first_N = earlier_copies(prints, threshold)
            paired = {*np.flatnonzero(first_N >= 0).tolist(), *first_N.tolist()}
            for row, each in enumerate(own):
                seconds = len(each.audio) / SAMPLE_RATE
                length = next((span for span in LENGTHS if span[0] <= seconds < span[1]), None)
                if length is None or not draw.random() < 0.25:
                    continue
                cut = float(draw.uniform(0.25, 0.3))
                made = copy_of(each.audio, gain=0.4, cut_seconds=cut, format=container, subtype=subtype)
                copied = fingerprint(made)
                first = int(earlier_copies([prints[row], copied], threshold)[1])
                others = (one for place, one in enumerate(prints) if place != row and row not in paired)
                wrong += any(earlier_copies([one, copied], threshold)[1] == 0 for one in others)
                found[length][0] += first == 0
                found[length][1] += 1
        recall = ", ".join(f"{low:g}-{high:g} s {hit / of:.3f} of {of}" for (low, high), (hit, of) in found.items())
        print(f"copies, {name}, -8 dB, cut: recall {recall}; {wrong} like another utterance")
    for code, own in corpus.items():
        prints = [fingerprint(each.audio) for each in own]
        for row, first in enumerate(earlier_copies(prints, threshold).tolist()):
            if first >= 0:
                equal, of = equal_bytes(prints[row], prints[first])
                print(f"pair of {code}: {equal}/{of} {own[row].text!r} {own[first].text!r}")
        print(f"pairs of {code}: {len(own) * (len(own) - 1) // 2:,} compared, {sum(map(bool, prints))} fingerprints")


def clipping(corpus: dict[str, list[RawUtterance]]) -> None:
    """Print how many utterances are flagged as clipped as they are, and with too much gain."""
    threshold = FLAGS["clipped"].threshold
    audio = [each.audio for own in corpus.values() for each in own][::4]
    print(f"clipped as they are: {np.mean([measure(each).clipped_share >= threshold for each in audio]):.4f}")
    for decibels in (3, 6):
        for name, (container, subtype) in {"WAV": ("WAV", "PCM_16"), **FORMATS}.items():
            gains = [10 ** (decibels / 20) * 32768 / int(np.abs(each.astype(np.int32)).max()) for each in audio]
            for after in (1.0, 0.5):
                shares = [
                    measure(
                        copy_of(copy_of(each, gain=gain), gain=after, format=container, subtype=subtype)
                    ).clipped_share
                    for each, gain in zip(audio, gains, strict=True)
                ]
                found = np.mean(np.array(shares) >= threshold)
                print(f"clipped by {decibels} dB, times {after:g}, then {name}: {found:.3f} found")


def languages(texts: dict[str, list[str]], train: dict[str, int], draws: int) -> None:
    """Print precision and recall for texts of other languages; the first `train` texts of each are those of train."""
    threshold = FLAGS["unexpected_language"].threshold
    precision, recall, of_long = [], [], []
    for number in range(draws):
        draw = random.Random(number)
        mixed, foreign = {code: list(own) for code, own in texts.items()}, {}
        for code, own in mixed.items():
            for row in draw.sample(range(len(own)), round(EXCHANGED * len(own))):
                other = draw.choice([each for each in texts if each != code])
                own[row] = draw.choice(texts[other])
                foreign[code, row] = own[row]
        models = LanguageModels({code: own[: train[code]] for code, own in mixed.items()})
        found = {
            (code, row)
            for code, own in mixed.items()
            for row, text in enumerate(own)
            if (other := models.likelier(text, code, counted=row < models.counted[code])) is not None
            and other.log_ratio >= threshold
        }
        right = found & foreign.keys()
        long = {place for place, text in foreign.items() if len(text) >= LONG_TEXT}
        precision.append(len(right) / max(1, len(found)))
        recall.append(len(right) / len(foreign))
        of_long.append(len(right & long) / len(long))
    for name, values in {"precision": precision, "recall": recall, f"from {LONG_TEXT} letters on": of_long}.items():
        interval = 1.96 * np.std(values, ddof=1) / np.sqrt(draws)
        print(f"other languages, {draws} draws: {name} {np.mean(values):.3f} ± {interval:.3f}")


def cost(audio: Sequence[Samples]) -> None:
    """Print processor milliseconds for a second of audio."""
    seconds = sum(map(len, audio)) / SAMPLE_RATE
    for name, work in {
        "measures": measure,
        "of these the fingerprint": fingerprint,
        "encoding FLAC": encode_flac,
    }.items():
        begun = time.process_time()
        for each in audio:
            work(each)
        print(f"{name}: {1000 * (time.process_time() - begun) / seconds:.2f} ms for a second of audio")


def large(words: Sequence[str]) -> None:
    """Print time and memory of the searches in a large language."""
    draw, generator = random.Random(0), np.random.default_rng(0)
    names = [f"{draw.choice(words)}{number:05}" for number in range(20_000)]
    texts = [" ".join(draw.choice(names) for _ in range(8)) for _ in range(LARGE)]
    prints = [each.tobytes() for each in generator.integers(1, 256, (LARGE, 64), dtype=np.uint8)]
    for name, search in {
        "texts": lambda: earlier_texts(texts, FLAGS["near_duplicate_text"].threshold),
        "recordings": lambda: earlier_copies(prints, FLAGS["near_duplicate_audio"].threshold),
    }.items():
        begun = time.process_time()
        flagged = int((search() >= 0).sum())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{LARGE:,} {name}: {time.process_time() - begun:.1f} s, {flagged} flagged, peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
