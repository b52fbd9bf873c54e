"""Change the recordings of a split as a condition of evaluation does.

Legend: S audio samples, N utterances.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mms_dist.conditions.condition import Condition, Scene
from mms_dist.data.background_speech import BackgroundSpeech
from mms_dist.data.noise_folder import NoiseFolder
from mms_dist.data.randomness import condition_key
from mms_dist.data.utterance_id import UtteranceId

if TYPE_CHECKING:
    from shards.index.sample_table import SampleTable


@dataclass(frozen=True)
class Conditioned:
    """A condition, with what it may mix into the utterances of one split of a language.

    `speech` is None if the condition does without.
    """

    condition: Condition
    speech: BackgroundSpeech | None = None
    noise: NoiseFolder | None = None

    def table(self, table: "SampleTable") -> "SampleTable":
        """Return the table with the samples that the changed recordings have."""
        return replace(table, samples=self.condition.lengths(table.samples))

    def apply(
        self, audio_S: np.ndarray, utterance: UtteranceId, epoch: int, *, required_frames: int, repeat: int = 0
    ) -> tuple[np.ndarray, None]:
        """Change the recording of an utterance, in the same way in every epoch and at every repeat.

        Returns:
            The changed recording, int16, and None for `Utterance.waveform`.
        """
        key = condition_key(utterance, type(self.condition).__name__)
        random = np.random.Generator(np.random.Philox(key=key))
        scene = Scene(random, _Background(self.speech, self.noise, utterance.row))
        changed_S = self.condition.apply(audio_S, scene)
        expected = int(self.condition.lengths(np.array([len(audio_S)]))[0])
        assert changed_S.dtype == np.int16, f"{self.condition} made {changed_S.dtype}, expected int16"
        assert len(changed_S) == expected, f"{self.condition} made {len(changed_S)} samples, and had said {expected}"
        return changed_S, None


@dataclass(frozen=True)
class _Background:
    """What is around one utterance."""

    others: BackgroundSpeech | None
    folder: NoiseFolder | None
    row: int

    def speech(self, samples: int, random: np.random.Generator) -> np.ndarray:
        assert self.others is not None, "the condition does not say that it needs speech"
        return self.others.besides(self.row, samples, random)

    def noise(self, samples: int, random: np.random.Generator) -> np.ndarray | None:
        return None if self.folder is None else self.folder.draw(samples, random)
