"""Recordings in every container and sample format, whole and with their containers changed by hand."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from shards.audio.containers.ogg import page_checksum
from shards.foreign.find_tars import find_tars
from shards.foreign.index_tars import IndexOptions, index_language
from shards.index import ShardIndex
from shards.process_pool import WorkerPool
from shards.read import ShardReader
from shards.text_rules import load_rules
from tests.shard_samples import build, sentence


def speechlike(seconds: float, rate: int, *, channels: int = 1, seed: int = 0) -> NDArray[np.float64]:
    """Tones below 3 kHz that swell, so that a shift, a wrong scale or rate is seen; the second channel is softer."""
    times = np.arange(round(seconds * rate)) / rate
    pitch = 180 + 37 * (seed % 7)
    voice = 0.3 * np.sin(2 * np.pi * pitch * times) * (1 + 0.5 * np.sin(2 * np.pi * 3 * times))
    voice += 0.08 * np.sin(2 * np.pi * (1100 + 40 * times) * times)
    return voice if channels == 1 else np.stack([voice, 0.5 * voice], axis=1)


def encode(audio: NDArray[Any], rate: int, container: str, subtype: str | None = None, **options: Any) -> bytes:
    """`audio` as libsndfile writes it."""
    target = io.BytesIO()
    soundfile.write(target, audio, rate, format=container, subtype=subtype, **options)
    return target.getvalue()


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    """`data` with other bytes at some places."""
    changed = bytearray(data)
    for place, new in changes:
        changed[place : place + len(new)] = new
    return bytes(changed)


def without_mp3_header(mp3: bytes) -> bytes:
    """An MP3 as piped encoders leave it: without the frame that tells its length."""
    return mp3[mp3.index(mp3[:2], max(mp3.find(b"Xing"), mp3.find(b"Info"))) :]


def mp3_in_wav(mp3: bytes, rate: int) -> bytes:
    """A mono MP3 as the sound of a WAV file."""
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, rate, 16_000, 1, 0, 12, 1, 2, 418, 1, 1393)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(mp3)) + mp3
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flac_total(flac: bytes, total: int) -> bytes:
    """A FLAC whose header tells another number of samples."""
    packed = int.from_bytes(flac[18:26], "big") >> 36 << 36 | total
    return patched(flac, (18, packed.to_bytes(8, "big")))


def extensible(data: bytes) -> bytes:
    """A W64 or WAV file of either byte order whose format is said as an extensible one, as ffmpeg writes W64."""
    order, head = (">" if data[:4] == b"RIFX" else "<"), (24 if data[:4] == b"riff" else 8)
    at = data.index(b"fmt ")
    (size,) = struct.unpack(f"{order}I", data[at + head - 8 : at + head - 4] if head > 8 else data[at + 4 : at + 8])
    end = at + (size + -size % 8 if head > 8 else head + size + size % 2)
    tag, *_, bits = struct.unpack(f"{order}HHIIHH", data[at + head : at + head + 16])
    form = struct.pack(f"{order}H", 0xFFFE) + data[at + head + 2 : at + head + 16]
    form += struct.pack(f"{order}HHIH", 22, bits, 0, tag) + bytes.fromhex("000000001000800000aa00389b71")
    chunk = data[at : at + 16] + struct.pack("<Q", 64) if head > 8 else b"fmt " + struct.pack(f"{order}I", 40)
    return data[:at] + chunk + form + data[end:]


def ogg_pages(ogg: bytes) -> list[bytes]:
    """The pages of an Ogg file."""
    pages, offset = [], 0
    while offset < len(ogg):
        segments = ogg[offset + 26]
        size = 27 + segments + sum(ogg[offset + 27 : offset + 27 + segments])
        pages.append(ogg[offset : offset + size])
        offset += size
    return pages


def ogg_page(page: bytes, *changes: tuple[int, bytes]) -> bytes:
    """An Ogg page with other bytes and the checksum that belongs to them."""
    page = patched(page, *changes, (22, bytes(4)))
    return patched(page, (22, page_checksum(page).to_bytes(4, "little")))


def id3(size: int = 2_000) -> bytes:
    """A tag of names and pictures, as it lies before the sound."""
    return b"ID3\x04\0\0" + bytes([0, 0, size >> 7, size & 0x7F]) + bytes(size)


def write_tar(path: Path, recordings: Mapping[str, bytes], texts: Mapping[str, str]) -> None:
    """A WebDataset tar of recordings by key; what they are is in their bytes, the extension is always `wav`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for key, data in recordings.items():
            for name, content in ((f"{key}.wav", data), (f"{key}.json", json.dumps({"text": texts[key]}).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


class Corpus:
    """The same recordings, by key, built into shards and as a foreign tar that is indexed where it lies."""

    def __init__(self, folder: Path, recordings: Mapping[str, bytes]) -> None:
        self.folder = folder
        self.texts = {key: sentence(number, 3) for number, key in enumerate(recordings)}
        self.recordings = dict(recordings)

    def build(self) -> dict[str, Any]:
        """`shards build`; the content of the index."""
        (self.folder / "source").mkdir(parents=True, exist_ok=True)
        lines = ["audio\ttext\tlang\tsplit"]
        for key, data in self.recordings.items():
            (self.folder / "source" / key).write_bytes(data)
            lines.append(f"source/{key}\t{self.texts[key]}\teng\ttrain")
        manifest = self.folder / "manifest.tsv"
        manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return build(manifest, self.folder / "built", shard_utterances=10_000).indexes["eng"]

    def index(self) -> dict[str, Any]:
        """`shards index`; the content of the index."""
        folder = self.folder / "indexed"
        write_tar(folder / "eng" / "train.tar", self.recordings, self.texts)
        tars = find_tars(folder, [], languages=[], split=None, reindex=True).languages["eng"]
        options = IndexOptions(load_rules("eng"))
        return index_language(folder / "eng", "eng", tars, options, pool=WorkerPool(1), advance=lambda *_: None)

    def audio(self, place: str) -> dict[str, NDArray[np.float64]]:
        """What is read from `built` or `indexed`, by key."""
        return dict(self._read(place))

    def _read(self, place: str) -> Iterator[tuple[str, NDArray[np.float64]]]:
        keys = {text: key for key, text in self.texts.items()}
        index = ShardIndex.load(str(self.folder / place))
        reader = ShardReader(index)
        for row in range(len(index.language("eng").table("train"))):
            utterance = reader.read("eng", "train", row)
            yield keys[utterance.text], utterance.audio / 32768
