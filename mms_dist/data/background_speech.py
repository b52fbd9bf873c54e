"""Utterances of a split that are mixed into others, as babble or as a second speaker.

Legend: S audio samples at 16 kHz, N utterances.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mms_dist.conditions.condition import as_float, level_of
from mms_dist.data.randomness import selection_key
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import DataError
from shards.errors import DamagedSampleError
from shards.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from shards.index.language_index import LanguageIndex
    from shards.read import ShardReader

POOL_SECONDS = 600.0
"""Audio of a split that is held: enough voices, in 38 MB."""
_FEWEST = 2


class BackgroundSpeech:
    """A part of a split, chosen by a hash and ordered by speaker, so that neighbours have one voice where possible.

    Which utterances it has, and what `besides` makes of them, depends on the whole split only: not on the utterances
    that are scored, nor on what was asked before. Utterances are read when they are first needed. Threads can share it.

    Raises:
        DataError: the split has too few utterances.
    """

    def __init__(self, reader: "ShardReader", index: "LanguageIndex", split: str) -> None:
        self._reader = reader
        self._language = index.language
        self._split = split
        check_background(index, split)
        table = index.table(split)
        keys = [selection_key(UtteranceId(self._language, split, row)) for row in table.rows.tolist()]
        order_N = np.argsort(np.array(keys, dtype=np.uint64), kind="stable")
        before_N = np.cumsum(table.samples[order_N], dtype=np.int64) - table.samples[order_N]
        within_N = before_N < POOL_SECONDS * SAMPLE_RATE
        within_N[:_FEWEST] = True
        pool = order_N[within_N].tolist()
        speakers = table.speaker.tolist()
        self._speaker_of = dict(zip(table.rows.tolist(), speakers, strict=True))
        self._rows = [int(table.rows[place]) for place in sorted(pool, key=lambda place: speakers[place])]
        self._audio: dict[int, np.ndarray | None] = {}

    def besides(self, row: int, samples: int, random: np.random.Generator) -> np.ndarray:
        """Return speech of others than the utterance in `row`: float32 [samples] of level 1.

        It begins anywhere in an utterance that is drawn, and goes on with the next ones. Utterances of the same speaker
        are left out if there are those of another.

        Raises:
            DataError: none of the others can be read.
        """
        others = [other for other in self._rows if other != row]
        own = self._speaker_of[row]
        others = [other for other in others if own and self._speaker_of[other] != own] or others
        first = int(random.integers(len(others)))
        start = random.random()
        pieces, missing = [], samples
        for audio_S in self._in_turn([*others[first:], *others[:first]]):
            piece_S = audio_S[int(start * len(audio_S)) :][:missing]
            start = 0.0
            pieces.append(piece_S)
            missing -= len(piece_S)
            if not missing:
                break
        speech_S = np.concatenate(pieces)
        return speech_S / np.float32(max(level_of(speech_S), 1e-9))

    def _in_turn(self, rows: list[int]) -> Iterator[np.ndarray]:
        """Yield the utterances in turn, over and over, without those that cannot be read or are silent."""
        while True:
            heard = False
            for row in rows:
                audio_S = self._read(row)
                if audio_S is not None:
                    heard = True
                    yield audio_S
            if not heard:
                raise DataError(
                    f"none of the {self._split} utterances of {self._language} that are mixed into others can be read",
                    fix="find the damage with mms-dist shards verify, or give noise with --noise FOLDER",
                )

    def _read(self, row: int) -> np.ndarray | None:
        """Return an utterance, float32 of level 1; None if it cannot be heard."""
        if row not in self._audio:
            try:
                audio_S = as_float(self._reader.read(self._language, self._split, row).audio)
            except DamagedSampleError:
                audio_S = np.zeros(0, dtype=np.float32)
            level = level_of(audio_S)
            self._audio[row] = audio_S / np.float32(level) if level else None
        return self._audio[row]


def check_background(index: "LanguageIndex", split: str) -> None:
    """Check that a split has utterances to mix into others.

    Raises:
        DataError: it has too few.
    """
    count = index.utterances(split)
    if count < _FEWEST:
        raise DataError(
            f"{index.language} has {count} {split} utterance, and no other one to mix into it",
            fix="score another split, or leave out conditions that mix other utterances in (noise without --noise "
            "FOLDER, overlap)",
        )
