"""Write NeMo manifests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from tests.layouts.utterances import Spoken


def write_nemo(manifest: Path, spoken: Sequence[Spoken], **more: object) -> None:
    """A manifest whose recordings are in `wav/` beside it; `more` are fields of every line."""
    (manifest.parent / "wav").mkdir(parents=True, exist_ok=True)
    lines = []
    for one in spoken:
        (manifest.parent / "wav" / f"{one.key}.wav").write_bytes(one.audio())
        fields = {"audio_filepath": f"wav/{one.key}.wav", "duration": 0.5, "text": one.text, "lang": one.language}
        lines.append(json.dumps(fields | {"speaker": one.speaker, "gender": one.gender} | more))
    manifest.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_tarred_nemo(folder: Path, spoken: Sequence[Spoken], kind: str) -> None:
    """Two numbered tars with a manifest beside them, as `convert_to_tarred_audio_dataset.py` of NeMo makes them.

    The recordings were converted to FLAC. The last two utterances are segments of one recording.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mode = "w:gz" if kind == "tar.gz" else "w"
    *whole, first, second = spoken
    both = io.BytesIO()
    parts = [soundfile.read(io.BytesIO(one.audio()))[0] for one in (first, second)]
    soundfile.write(both, np.concatenate(parts), 16_000, format="FLAC")
    contents = [(f"wav_{one.key}", one.audio("FLAC")) for one in whole] + [("wav_both", both.getvalue())]
    lines = [
        {"audio_filepath": f"wav_{one.key}.wav", "duration": 0.5, "text": one.text, "shard_id": number % 2}
        for number, one in enumerate(whole)
    ]
    start = 0.0
    for name, one, part in zip(("wav_both", "wav_both-sub1"), (first, second), parts, strict=True):
        segment = {"offset": start, "duration": len(part) / 16_000, "shard_id": len(whole) % 2}
        lines.append({"audio_filepath": f"{name}.wav", "text": one.text, **segment})
        start += segment["duration"]
    for shard in (0, 1):
        with tarfile.open(folder / f"audio_{shard}.{kind}", mode) as tar:
            for name, data in contents[shard::2]:
                member = tarfile.TarInfo(f"{name}.flac")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    manifest = "".join(json.dumps(line | {"lang": spoken[0].language}) + "\n" for line in lines)
    (folder / "tarred_audio_manifest.json").write_text(manifest, encoding="utf-8")
