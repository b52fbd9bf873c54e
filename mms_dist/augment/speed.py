"""Speed perturbation: play a recording faster or slower, which changes its pitch too (Ko et al. 2015).

Legend: N utterances, S audio samples, F factors.
"""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from mms_dist.augment.kinds import Draw, WaveformAugmentation
from mms_dist.setting_types import STRICT, Number

Factor = Annotated[float, Field(ge=0.5, le=2, allow_inf_nan=False), Number]


def _different(factors: tuple[float, ...]) -> tuple[float, ...]:
    if not factors or len(set(factors)) < len(factors):
        raise ValueError("expected different factors such as [0.9, 1.0, 1.1], or null for none")
    return factors


@dataclass(frozen=True, config=STRICT)
class Speed(WaveformAugmentation):
    """Every utterance gets one of the factors in every epoch, each with the same probability.

    A factor that would leave an utterance too few frames for its transcript is not drawn for it. If none is left, it
    stays as it is.
    """

    speed: Annotated[tuple[Factor, ...], AfterValidator(_different)] | None = None
    """Speeds at which recordings are played, such as [0.9, 1.0, 1.1]; 1.1 is faster and shorter. None is off. Batches
    hold `optim.batch_seconds` of the changed audio, so a language whose speeds are changed begins a new epoch."""

    @property
    def versions(self) -> int:
        return len(self.speed or (1.0,))

    def version(self, samples: int, draw: Draw) -> int:
        factor = self._factor(samples, draw)
        return 0 if factor == 1 else 1 + (self.speed or ()).index(factor)

    def lengths(self, samples_N: np.ndarray, fewest_N: np.ndarray, uniform_N: np.ndarray) -> np.ndarray:
        return samples_at(samples_N, self._factors(samples_N, fewest_N, uniform_N))

    def longest(self, samples: int) -> int:
        return max(samples, int(samples_at(np.array(samples), np.array(min(self.speed or (1.0,))))))

    def apply(self, audio_S: np.ndarray, draw: Draw) -> np.ndarray:
        return played_at(audio_S, self._factor(len(audio_S), draw))

    def _factor(self, samples: int, draw: Draw) -> float:
        return float(self._factors(np.array([samples]), np.array([draw.fewest]), np.array([draw.uniform]))[0])

    def _factors(self, samples_N: np.ndarray, fewest_N: np.ndarray, uniform_N: np.ndarray) -> np.ndarray:
        """Return the factor drawn for each utterance, float64 [N]."""
        factors_F = np.array(self.speed or (1.0,))
        fits_NF = samples_at(samples_N[:, None], factors_F) >= fewest_N[:, None]
        fitting_N = fits_NF.sum(1)
        chosen_N = np.floor(uniform_N * fitting_N).astype(np.int64)
        which_N = (fits_NF & (fits_NF.cumsum(1) == chosen_N[:, None] + 1)).argmax(1)
        return np.where(fitting_N > 0, factors_F[which_N], 1.0)


def played_at(audio_S: np.ndarray, factor: float) -> np.ndarray:
    """Play a recording, int16, faster or slower.

    It is resampled with soxr at its "HQ" quality, as recordings of another rate are when shards are built.
    """
    if factor == 1:
        return audio_S
    import soxr

    from shards.audio.recording import to_int16

    mono_S = audio_S.astype(np.float32) / 32768
    out_S = np.zeros(int(samples_at(np.array(len(audio_S)), np.array(factor))), dtype=np.int16)
    resampled_S = to_int16(soxr.resample(mono_S, factor, 1.0, quality="HQ"))[: len(out_S)]
    out_S[: len(resampled_S)] = resampled_S  # soxr may round the length the other way
    return out_S


def samples_at(samples: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return the samples of recordings that are played at these speeds."""
    return np.maximum(1, np.rint(samples / factor)).astype(np.int64)
