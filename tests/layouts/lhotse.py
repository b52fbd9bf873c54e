"""Write manifests of Lhotse."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.layouts.utterances import Spoken

RATE = 16_000


def write_lhotse(folder: Path, spoken: Sequence[Spoken], split: str) -> None:
    """Recordings and supervisions of one split, compressed, with the recordings in `wav/`."""
    write_lines(folder / f"toy_recordings_{split}.jsonl.gz", [recording(folder, one) for one in spoken])
    write_lines(folder / f"toy_supervisions_{split}.jsonl.gz", [supervision(one) for one in spoken])


def write_cuts(folder: Path, spoken: Sequence[Spoken], split: str) -> None:
    """Cuts of one split: each leaves out the first and the last 50 ms of its recording."""
    cuts = []
    for one in spoken:
        whole = recording(folder, one)
        inner = supervision(one) | {"start": 0.0, "duration": round(whole["duration"] - 0.1, 6)}
        cut = {"id": f"{one.key}-cut", "start": 0.05, "duration": inner["duration"], "channel": 0, "type": "MonoCut"}
        cuts.append(cut | {"supervisions": [inner], "recording": whole})
    write_lines(folder / f"cuts_{split}.jsonl.gz", cuts)


def recording(folder: Path, one: Spoken) -> dict[str, Any]:
    """A recording as Lhotse describes it; its file is written."""
    path = folder / "wav" / f"{one.key}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(one.audio())
    samples = (path.stat().st_size - 44) // 2
    source = {"type": "file", "channels": [0], "source": str(path)}
    length = {"sampling_rate": RATE, "num_samples": samples, "duration": samples / RATE, "channel_ids": [0]}
    return {"id": one.key, "sources": [source], **length}


def supervision(one: Spoken) -> dict[str, Any]:
    """A supervision of a whole recording as Lhotse describes it."""
    place = {"id": one.key, "recording_id": one.key, "start": 0.0, "channel": 0}
    seconds = 0.5 + one.number % 5 / 10
    about = {"text": one.text, "language": one.language, "speaker": one.speaker, "gender": one.gender}
    return {**place, "duration": seconds, **about, "custom": {"accent": "moldovan", "snr": 12.5}}


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """JSON lines, compressed if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
