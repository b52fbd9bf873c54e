"""Rebuild the demo corpus from Debian's Asterisk prompts: ``python shards/demo/prepare.py --help``.

    mkdir debs unpacked && cd debs
    for x in en es fr it ru; do
        apt-get download asterisk-core-sounds-$x asterisk-core-sounds-$x-g722
    done
    for package in *.deb; do dpkg -x $package ../unpacked; done && cd ..
    python shards/demo/prepare.py --packages unpacked --out shards/demo

Needs PyAV (``pip install av``) for the G.722 codec, which libsndfile lacks. The output is a manifest and,
for every language and split, one to four Ogg/Opus recordings of a few minutes each, with half a second of
silence between prompts.
"""

import argparse
import csv
import gzip
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
MANIFEST_COLUMNS = ("audio", "start", "end", "text", "lang", "split", "speaker", "source")
SPLIT_TENTHS = {"train": 8, "dev": 1, "test": 1}

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.5, 8.0
_CHARACTERS_PER_SECOND = (3.0, 20.0)
_GAP_SECONDS = 0.5  # between prompts, so that the codec does not smear one into the next
_RECORDING_SECONDS = 270.0
_EDGE_SECONDS = 0.12  # kept around the speech
_EDGE_LEVEL = 0.01  # fraction of the peak below which a sample is not speech
_OPUS_COMPRESSION = 0.91  # libsndfile's scale from 256 (0) to 6 kbit/s (1): the maximum of a variable bit rate
_LEFT_OUT_FOLDERS = ("letters/", "phonetic/", "silence/")  # names of letters, spelling alphabets, no speech
_UNSPOKEN = re.compile(r"[\[\](){}<>#*/&%_=+@]|\d")
_ACRONYM = re.compile(r"\b[A-ZА-Я]{2,}\b|\b[A-Z]\.[A-Z]\.")


@dataclass(frozen=True)
class Source:
    """One package: its language, its voice, and the words for the digits 0 to 9."""

    lang: str
    voice_folder: str
    digits: tuple[str, ...]


SOURCES = {
    "en": Source(
        "eng",
        "en_US_f_Allison",
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ),
    "es": Source(
        "spa",
        "es_MX_f_Allison",
        ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
    ),
    "fr": Source(
        "fra",
        "fr_CA_f_June",
        ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    ),
    "it": Source(
        "ita",
        "it_IT_m_Carlo",
        ("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"),
    ),
    "ru": Source(
        "rus",
        "ru_RU_f_IvrvoiceRU",
        ("ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"),
    ),
}


@dataclass(frozen=True)
class Prompt:
    """One recorded prompt: 16 kHz mono float samples and its text as published, digits spelled out."""

    name: str
    text: str
    samples_T: NDArray[np.float32]


def spoken_text(text: str, digits: tuple[str, ...]) -> str | None:
    """Return ``text`` with single digits as words; None if it holds anything not spoken as written."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    text = re.sub(r"(?<![\w.,])\d(?![\w]|[.,]\d)", lambda match: digits[int(match.group())], text)
    if _UNSPOKEN.search(text) or _ACRONYM.search(text) or not any(c.isalpha() for c in text):
        return None
    return text


def sentence_key(text: str) -> str:
    """Return a key that is equal for texts that differ only in case, punctuation, accents or spaces."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    letters = (c for c in folded if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in letters).split())


def split_of(lang: str, text: str) -> str:
    """Choose train, dev or test by a hash of the sentence, so that repeated sentences stay in one split."""
    digest = hashlib.sha256(f"{lang} {sentence_key(text)}".encode()).digest()
    tenth = int.from_bytes(digest[:8], "big") % sum(SPLIT_TENTHS.values())
    for split, tenths in SPLIT_TENTHS.items():
        if tenth < tenths:
            return split
        tenth -= tenths
    raise AssertionError("the splits' tenths do not add up")


def decode_g722(path: Path) -> NDArray[np.float32]:
    """Decode a G.722 file to 16 kHz mono samples in −1 … 1."""
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return (np.concatenate(frames) / 32768).astype(np.float32) if frames else np.zeros(0, np.float32)


def without_silence(samples_T: NDArray[np.float32]) -> NDArray[np.float32]:
    """Trim most of the silence before and after the speech."""
    loud = np.flatnonzero(np.abs(samples_T) > _EDGE_LEVEL * np.abs(samples_T).max(initial=0.0))
    edge = int(_EDGE_SECONDS * SAMPLE_RATE_HZ)
    return samples_T[max(loud[0] - edge, 0) : loud[-1] + edge] if len(loud) else samples_T[:0]


def prompts(packages: Path, code: str) -> Iterator[Prompt]:
    """Yield the usable prompts of one language, in the order of the published list.

    Raises:
        FileNotFoundError: the package is not unpacked under ``packages``.
    """
    source = SOURCES[code]
    name = f"asterisk-core-sounds-{code}"
    listing = packages / f"usr/share/doc/{name}/core-sounds-{code}.txt.gz"
    sounds = packages / "usr/share/asterisk/sounds" / source.voice_folder
    for needed in (listing, sounds):
        if not needed.exists():
            raise FileNotFoundError(f"{needed} is missing: dpkg -x {name}_*.deb and {name}-g722_*.deb {packages}")
    for line in gzip.decompress(listing.read_bytes()).decode("utf-8-sig").splitlines():
        prompt, _, written = line.partition(":")
        text = spoken_text(written, source.digits)
        path = sounds / f"{prompt.strip()}.g722"
        if text is None or line.startswith((";", *_LEFT_OUT_FOLDERS)):
            continue
        if not path.is_file() or path.stat().st_size == 0:
            continue
        samples_T = without_silence(decode_g722(path))
        seconds = len(samples_T) / SAMPLE_RATE_HZ
        low, high = _CHARACTERS_PER_SECOND
        if _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS and low <= len(text) / seconds <= high:
            yield Prompt(prompt.strip(), text, samples_T)


def join(members: list[Prompt]) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    """Join prompts into one recording, with gaps around them. Also returns each prompt's (start, end) in samples."""
    gap_T = np.zeros(int(_GAP_SECONDS * SAMPLE_RATE_HZ), np.float32)
    pieces, bounds, at = [gap_T], [], len(gap_T)
    for prompt in members:
        bounds.append((at, at + len(prompt.samples_T)))
        pieces += [prompt.samples_T, gap_T]
        at += len(prompt.samples_T) + len(gap_T)
    return np.concatenate(pieces), bounds


def recordings_of(members: list[Prompt]) -> list[list[Prompt]]:
    """Group prompts, in order, into recordings of about equal length, at most ``_RECORDING_SECONDS`` each."""
    total = sum(len(prompt.samples_T) / SAMPLE_RATE_HZ + _GAP_SECONDS for prompt in members)
    count = int(np.ceil(total / _RECORDING_SECONDS))
    parts: list[list[Prompt]] = [[] for _ in range(count)]
    done = 0.0
    for prompt in members:
        parts[min(int(done / total * count), count - 1)].append(prompt)
        done += len(prompt.samples_T) / SAMPLE_RATE_HZ + _GAP_SECONDS
    return parts


def write_corpus(packages: Path, out: Path) -> list[dict[str, str]]:
    """Write ``audio/*.opus`` and ``manifest.tsv`` under ``out``. Returns the rows of the manifest."""
    (out / "audio").mkdir(parents=True, exist_ok=True)
    rows = []
    for code, source in SOURCES.items():
        splits: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in prompts(packages, code):
            splits[split_of(source.lang, prompt.text)].append(prompt)
        for split in SPLIT_TENTHS:
            for number, members in enumerate(recordings_of(splits[split]), start=1):
                audio = f"audio/{source.lang}-{split}-{number}.opus"
                samples_T, bounds = join(members)
                soundfile.write(
                    out / audio,
                    samples_T,
                    SAMPLE_RATE_HZ,
                    format="OGG",
                    subtype="OPUS",
                    compression_level=_OPUS_COMPRESSION,
                )
                for prompt, (start, end) in zip(members, bounds, strict=True):
                    rows.append(
                        {
                            "audio": audio,
                            "start": seconds_text(start),
                            "end": seconds_text(end),
                            "text": prompt.text,
                            "lang": source.lang,
                            "split": split,
                            "speaker": source.voice_folder,
                            "source": f"asterisk-core-sounds-{code}/{prompt.name}",
                        }
                    )
    with (out / "manifest.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            MANIFEST_COLUMNS,
            delimiter="\t",
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,
            quotechar=None,
        )
        writer.writeheader()
        writer.writerows(rows)
    return rows


def seconds_text(samples: int) -> str:
    """Format a sample position in seconds, with the digits that 16 kHz samples need (1/16000 = 0.0000625)."""
    return f"{samples / SAMPLE_RATE_HZ:.7f}".rstrip("0").rstrip(".")


def main() -> None:
    """Run the command line. Prints utterances and minutes per language and split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="where the Debian packages are unpacked")
    parser.add_argument("--out", type=Path, required=True, help="folder for manifest.tsv and audio/")
    arguments = parser.parse_args()
    table: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in write_corpus(arguments.packages, arguments.out):
        table[row["lang"], row["split"]].append(float(row["end"]) - float(row["start"]))
    for (lang, split), seconds in table.items():
        print(f"{lang} {split:5} {len(seconds):4} utterances {sum(seconds) / 60:5.1f} min")


if __name__ == "__main__":
    main()
