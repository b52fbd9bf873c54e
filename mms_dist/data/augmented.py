"""Change the recordings of a language as its waveform augmentations draw it.

Every draw is a function of (seed, language, epoch, utterance) and the augmentation's name. The number of samples that
an utterance will have is known from the index, before its audio is read.

Legend: N utterances (rows of the sample table), S audio samples.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from mms_dist.augment.kinds import Augmentation, Draw, WaveformAugmentation, augmentations, uniform_of
from mms_dist.data.randomness import waveform_key
from mms_dist.data.utterance_id import UtteranceId
from shards.schema import FRONT_END, SAMPLE_RATE

if TYPE_CHECKING:
    from shards.index import SampleTable

_SPLIT = "train"
_MOST_VERSIONS = 1 << 16


@dataclass(frozen=True)
class RecordingAugmentation:
    """The waveform augmentations of a language's training split, in the order in which they are applied."""

    language: str
    seed: int
    steps: tuple[WaveformAugmentation, ...] = ()

    @classmethod
    def of(cls, section: Augmentation, *, language: str, seed: int) -> "RecordingAugmentation":
        """Take the waveform augmentations from the section `augment` of a language."""
        return cls(language, seed, augmentations(section, WaveformAugmentation))

    @cached_property
    def changing_lengths(self) -> tuple[WaveformAugmentation, ...]:
        """Those that change the number of samples. The plan of an epoch depends on them, and only on them."""
        return tuple(each for each in self.steps if type(each).lengths is not WaveformAugmentation.lengths)

    def samples(self, table: "SampleTable", epoch: int, repeats_N: np.ndarray | None = None) -> np.ndarray:
        """Return the samples of every utterance of `table` in an epoch, int64 [N].

        `repeats_N`: how often each has come before in that epoch; None: not yet.
        """
        samples_N = np.asarray(table.samples, dtype=np.int64)
        if not self.changing_lengths:
            return samples_N
        fewest_N = fewest_samples(table.required_frames)
        utterances = [UtteranceId(self.language, _SPLIT, row) for row in table.rows.tolist()]
        repeats = [0] * len(utterances) if repeats_N is None else repeats_N.tolist()
        for step in self.changing_lengths:
            uniform = [
                uniform_of(self._key(step, utterance, epoch, repeat))
                for utterance, repeat in zip(utterances, repeats, strict=True)
            ]
            samples_N = step.lengths(samples_N, fewest_N, np.array(uniform))
        return samples_N

    def apply(
        self, audio_S: np.ndarray, utterance: UtteranceId, epoch: int, *, required_frames: int, repeat: int = 0
    ) -> tuple[np.ndarray, int | None]:
        """Change the recording of an utterance.

        Args:
            audio_S: int16; may be changed in place.
            required_frames: frames that its transcript needs.
            repeat: how often it has come before in that epoch.

        Returns:
            The changed recording, and its number for `Utterance.waveform`.
        """
        fewest = int(fewest_samples(np.array([required_frames]))[0])
        waveform: int | None = 0
        for step in self.steps:
            draw = Draw(self._key(step, utterance, epoch, repeat), fewest)
            if step.versions is None or waveform is None:
                waveform = None
            else:
                waveform = waveform * _MOST_VERSIONS + step.version(len(audio_S), draw)
            expected = step.lengths(np.array([len(audio_S)]), np.array([fewest]), np.array([draw.uniform]))[0]
            audio_S = step.apply(audio_S, draw)
            assert audio_S.dtype == np.int16, f"{step} made {audio_S.dtype}, expected int16"
            assert len(audio_S) == expected, f"{step} made {len(audio_S)} samples, and had said {expected}"
        return audio_S, waveform

    @property
    def versions(self) -> int | None:
        """Number of different results that a recording can have; None: no result is ever repeated."""
        counts = [step.versions for step in self.steps]
        return None if None in counts else reduce(mul, (count for count in counts if count is not None), 1)

    def _key(self, step: WaveformAugmentation, utterance: UtteranceId, epoch: int, repeat: int) -> int:
        return waveform_key(self.seed, utterance, epoch, type(step).__name__, repeat)


def fewest_samples(frames_N: np.ndarray) -> np.ndarray:
    """Return the fewest samples that give `frames_N` frames, int64 [N]: the inverse of `frames_of`."""
    length_N = np.maximum(1, np.asarray(frames_N, dtype=np.int64))
    for kernel, stride in reversed(FRONT_END):
        length_N = (length_N - 1) * stride + kernel
    return length_N


def longest_seconds(table: "SampleTable", section: Augmentation) -> float:
    """Return the seconds of the longest recording that any epoch can have."""
    longest = int(np.max(table.samples))
    for step in augmentations(section, WaveformAugmentation):
        longest = step.longest(longest)
    return longest / SAMPLE_RATE


def cache_notes(sections: Iterable[Augmentation]) -> Iterator[str]:
    """Yield notes on how the languages' waveform augmentation affects the cache of front-end features."""
    found = {RecordingAugmentation.of(section, language="", seed=0).versions for section in sections}
    if None in found:
        yield "of recordings that are changed anew in every epoch are computed anew, and not cached"
    if most := max((count for count in found if count is not None), default=1) - 1:
        yield f"of up to {most + 1} versions of a recording are cached, each when it first comes"
