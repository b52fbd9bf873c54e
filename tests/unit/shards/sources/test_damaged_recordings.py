"""Recordings that are cut short, silent or none are counted by reason, whatever source they come from."""

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from launcher.cli import main
from shards.sources.registry import SOURCES
from tests.layouts.books import write_ljspeech, write_mls, write_voxpopuli
from tests.layouts.common_voice import write_common_voice, write_spontaneous
from tests.layouts.fleurs import write_fleurs
from tests.layouts.hugging_face import save_to_disk, write_audiofolder, write_omnilingual, write_parquet
from tests.layouts.kaldi import write_kaldi
from tests.layouts.lhotse import write_lhotse
from tests.layouts.nemo import write_nemo
from tests.layouts.utterances import Spoken, utterances

CUT, SILENT, NO_AUDIO = 1, 2, 3


@dataclass(frozen=True)
class Faulty(Spoken):
    """An utterance whose recording is damaged if its number is one of these."""

    def audio(self, kind: str = "WAV") -> bytes:
        whole = super().audio(kind)
        if self.number == CUT:
            return whole[: len(whole) // 2]
        if self.number == SILENT:
            target = io.BytesIO()
            soundfile.write(target, np.zeros(16_000), 16_000, format=kind)
            return target.getvalue()
        return b"\1\2\3\4" * 5_000 if self.number == NO_AUDIO else whole


SPOKEN = [Faulty(**asdict(one)) for one in utterances(train=8)]


def split_of(split):
    return [one for one in SPOKEN if one.split == split]


def write_table(folder: Path, *, texts: bool) -> None:
    """A manifest beside recordings, or recordings with their texts beside them."""
    (folder / "ron").mkdir(parents=True)
    for one in SPOKEN:
        (folder / "ron" / f"{one.key}.wav").write_bytes(one.audio())
        if texts:
            (folder / "ron" / f"{one.key}.txt").write_text(one.text)
    if not texts:
        lines = [f"ron/{one.key}.wav\t{one.text}\tron" for one in SPOKEN]
        (folder / "m.tsv").write_text("\n".join(["audio\ttext\tlang", *lines]))


def each_split(write):
    def write_all(folder):
        for split in ("train", "dev", "test"):
            write(folder, split)

    return write_all


WRITE = {
    "manifest": lambda folder: write_table(folder, texts=False),
    "folder": lambda folder: write_table(folder, texts=True),
    "audiofolder": lambda folder: write_audiofolder(folder, SPOKEN, "csv"),
    "parquet": lambda folder: write_parquet(folder / "ron", SPOKEN),
    "save_to_disk": lambda folder: save_to_disk(folder, SPOKEN),
    "omnilingual": lambda folder: write_omnilingual(folder, SPOKEN),
    "common-voice": lambda folder: write_common_voice(folder / "ro", SPOKEN),
    "spontaneous-speech": lambda folder: write_spontaneous(folder / "ro", SPOKEN),
    "fleurs": lambda folder: write_fleurs(folder / "ro_ro", SPOKEN),
    "ljspeech": lambda folder: write_ljspeech(folder / "ro", SPOKEN),
    "mls": lambda folder: write_mls(folder / "mls_romanian", SPOKEN),
    "voxpopuli": lambda folder: write_voxpopuli(folder / "ro", SPOKEN),
    "nemo": each_split(lambda folder, split: write_nemo(folder / f"{split}.json", split_of(split))),
    "kaldi": each_split(lambda folder, split: write_kaldi(folder / "in" / split, split_of(split), folder / "wavs")),
    "lhotse": each_split(lambda folder, split: write_lhotse(folder, split_of(split), split)),
}
# Those that read other sources, or the same files in another place.
OF_OTHERS = {"list", "aligned", "hub"}


def test_every_source_is_tested_here():
    assert {source.name for source in SOURCES} == WRITE.keys() | OF_OTHERS


@pytest.mark.parametrize("kind", WRITE)
def test_damaged_recordings_of_every_source_are_counted_by_reason(kind, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    WRITE[kind](tmp_path / "source")
    source = tmp_path / "source" / ("in" if kind == "kaldi" else "m.tsv" if kind == "manifest" else "")
    command = ["shards", "build", str(source), str(tmp_path / "out"), "--from", kind, "--lang", "ron", "--workers", "1"]
    assert main(command) == 0, capsys.readouterr().err
    index = json.loads((tmp_path / "out" / "ron" / "index.json").read_text())
    found = {reason: entry["count"] for reason, entry in index["drops"].items()}
    assert found == {"cut_short": 1, "silent": 1, "undecodable": 1}
