"""Time and memory of building and indexing a corpus of very many languages and utterances.

    python -m tests.benchmarks.corpus_scale [--languages 1000] [--utterances 100 1000] [--build] [--folder]

For each number of utterances a language, it writes a manifest (with `--folder`, a folder of clips), plans it with
`shards build --dry-run`, and with `--build` builds it, moves the indexes away, and indexes the tars anew. Every
utterance is half a second of one recording, so what is measured is the work on rows, and little decoding. The clips of
a folder are hard links. Memory is that of the largest process. Building a million utterances takes 10 GB in TMPDIR.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from shards.language_table import language_table
from shards.schema import INDEX_NAME, SAMPLE_RATE
from tests.benchmarks.conditions import conditions

SECONDS = 0.5
NOISE = 0.001  # quiet noise compresses well: the shards of a million utterances then take 10 GB of disk
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re")


def write_manifest(folder: Path, languages: int, utterances: int) -> Path:
    """A manifest in which the languages alternate, and a link to one recording for each language."""
    codes = list(language_table().by_code)[:languages]
    noise = NOISE * np.random.default_rng(0).standard_normal(round(utterances * SECONDS * SAMPLE_RATE))
    soundfile.write(folder / "recording.flac", noise, SAMPLE_RATE)
    for code in codes:
        os.link(folder / "recording.flac", folder / f"{code}.flac")
    manifest = folder / "manifest.tsv"
    with open(manifest, "w", encoding="utf-8") as file:
        file.write("audio\ttext\tlang\tspeaker\tstart\tend\n")
        for number in range(utterances):
            text = sentence(number)
            start = number * SECONDS
            for code in codes:
                file.write(f"{code}.flac\t{text}\t{code}\tspeaker{number % 50}\t{start}\t{start + SECONDS}\n")
    return manifest


def write_folder(folder: Path, languages: int, utterances: int) -> Path:
    """A folder of clips with their transcripts for each language, all of them links to a few files."""
    noise = NOISE * np.random.default_rng(0).standard_normal(round(SECONDS * SAMPLE_RATE))
    for number in range(utterances):
        (folder / f"{number}.txt").write_text(sentence(number), encoding="utf-8")
    for code in list(language_table().by_code)[:languages]:
        soundfile.write(folder / f"{code}.flac", noise, SAMPLE_RATE)
        clips = folder / "clips" / code
        clips.mkdir(parents=True)
        for number in range(utterances):
            os.link(folder / f"{code}.flac", clips / f"recording_{code}_{number:08}.flac")
            os.link(folder / f"{number}.txt", clips / f"recording_{code}_{number:08}.txt")
    return folder / "clips"


def sentence(number: int) -> str:
    """Four syllables, others for each number below 12**4."""
    return " ".join(SYLLABLES[number // 12**place % 12] for place in range(4))


def measured(*arguments: str | Path) -> str:
    """Run `mms-dist shards …`; return its minutes, those of a core, and the MiB of its largest process."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "launcher", "shards", *map(str, arguments)]
    with open(os.devnull, "w") as nowhere:
        process = os.posix_spawn(
            sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)]
        )
        _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    elapsed, computed = (time.monotonic() - begun) / 60, (usage.ru_utime + usage.ru_stime) / 60
    return f"{elapsed:6.1f} min, {computed:6.1f} of one core  {usage.ru_maxrss / 1024:6.0f} MiB"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=1000)
    parser.add_argument("--utterances", type=int, nargs="+", default=[100, 1000], help="of each language")
    parser.add_argument("--folder", action="store_true", help="plan a folder of clips instead of a manifest")
    parser.add_argument("--build", action="store_true", help="also build the shards, and index them")
    arguments = parser.parse_args()
    for name, value in conditions(threads=1).items():
        print(f"{name}: {value}")
    for utterances in arguments.utterances:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{arguments.languages:,} languages, {arguments.languages * utterances:,} utterances", flush=True)
            write = write_folder if arguments.folder else write_manifest
            source = write(Path(folder), arguments.languages, utterances)
            shards = Path(folder) / "shards"
            print("  build --dry-run", measured("build", source, shards, "--dry-run"), flush=True)
            if arguments.build:
                print("  build          ", measured("build", source, shards), flush=True)
                for index in shards.glob(f"*/{INDEX_NAME}"):
                    index.unlink()
                print("  index          ", measured("index", shards), flush=True)


if __name__ == "__main__":
    main()
