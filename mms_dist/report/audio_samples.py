"""Add recordings to the utterances of a report, as long as they fit in a budget."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import soundfile

from mms_dist.report.run_report import Audio, ShownUtterance
from shards.errors import ShardsError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE

MEDIA_TYPE = "audio/mpeg"  # every browser plays it
COMPRESSION = 0.5  # about 35 kbit/s for speech at 16 kHz
LONGEST_SECONDS = 30

Utterances = Mapping[str, Sequence[ShownUtterance]]


def with_audio(
    index: ShardIndex, split: str, shown: Utterances, *, budget_bytes: int
) -> tuple[dict[str, list[ShownUtterance]], str | None]:
    """Return the utterances of each language with their recordings, and the first problem with reading one.

    Every language gets its first recording before any gets its second. Recordings are compressed.

    Args:
        shown: by language, those that should have audio first; this order decides where the budget ends.
        budget_bytes: of all compressed recordings together.
    """
    found = {code: list(utterances) for code, utterances in shown.items()}
    used, problem = 0, None
    reader = ShardReader(index)
    try:
        for code, place in _in_turn(found):
            utterance = found[code][place]
            changed = f"the shards of {code} have changed since the evaluation"
            if utterance.row >= index.language(code).utterances(split):
                problem = problem or changed
                continue
            try:
                raw = reader.read(code, split, utterance.row)
            except (ShardsError, OSError) as error:
                problem = problem or str(error)
                continue
            if raw.key.split() != utterance.key.split():
                problem = problem or changed
                continue
            content = _compressed(raw.audio[: LONGEST_SECONDS * SAMPLE_RATE])
            if used + len(content) > budget_bytes:
                break
            used += len(content)
            found[code][place] = replace(utterance, audio=Audio(MEDIA_TYPE, content))
    finally:
        reader.close()
    return found, problem


def _in_turn(utterances: Utterances) -> Iterator[tuple[str, int]]:
    for place in range(max((len(each) for each in utterances.values()), default=0)):
        for code, own in utterances.items():
            if place < len(own):
                yield code, place


def _compressed(audio: object) -> bytes:
    target = io.BytesIO()
    soundfile.write(
        target,
        audio,
        SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=COMPRESSION,
        bitrate_mode="VARIABLE",
    )
    return target.getvalue()
