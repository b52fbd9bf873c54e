"""Write NeMo manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

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
