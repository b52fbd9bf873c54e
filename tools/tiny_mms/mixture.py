"""Batches for training, drawn from the parts of the corpus: a function of the seed, the step and the plan only.

The plan is a file that says from which block of batches on which parts are used, so parts may be added while the base
is trained and a training that is resumed sees the same batches again.

Shapes: B utterances, T samples, F frames, L labels, N utterances of a pool.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.tiny_mms.parts import SAMPLE_RATE_HZ, Utterance, read_part
from tools.tiny_mms.phones import PhoneInventory, frame_count

BATCHES_PER_BLOCK = 32
ALIGNED_SOURCE = "espeak"  # the place of each phone is known
NOT_ALIGNED = -1
SHARES = {"espeak": 0.25, "rhvoice": 0.3, "recorded": 0.35, "kokoro": 0.05, "festival": 0.1}


@dataclass(frozen=True)
class Batch:
    """Utterances of similar length: ``audio_BT`` with zeros as padding, its ``samples_B``, CTC labels with lengths.

    ``classes_BF`` is the phone class of each frame, −1 in padding and where only the order of the phones is known.
    """

    audio_BT: Tensor
    samples_B: Tensor
    labels_BL: Tensor
    lengths_B: Tensor
    classes_BF: Tensor

    @property
    def seconds(self) -> float:
        """Seconds of audio without padding."""
        return float(self.samples_B.sum()) / SAMPLE_RATE_HZ


def source_of(part: str) -> str:
    """Return the source that ``part`` belongs to: ``espeak-de-000`` belongs to ``espeak``."""
    return part.split("-", 1)[0]


class Parts:
    """Open parts of one folder, with their utterances as lists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, list[Utterance]] = {}

    def complete(self) -> list[str]:
        """Return the names of all parts that are complete now."""
        names = (path.name for path in self._folder.iterdir() if path.is_dir())
        return sorted(name for name in names if not name.endswith(".incomplete"))

    def __getitem__(self, name: str) -> list[Utterance]:
        if name not in self._open:
            self._open[name] = list(read_part(self._folder / name))
        return self._open[name]


class Plan:
    """Which parts are in use from which block on; new ones are entered at the end of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._entries: list[tuple[int, list[str]]] = [(row["block"], row["parts"]) for row in map(json.loads, lines)]

    def at(self, block: int) -> list[str]:
        """Return the parts in use at ``block``, in the order in which they were entered."""
        return [part for first, parts in self._entries if first <= block for part in parts]

    def enter(self, block: int, parts: list[str]) -> None:
        """Use ``parts`` from ``block`` on, but for those that are in use; nothing changes before a later entry."""
        if any(first > block for first, _ in self._entries):
            return
        if new := [part for part in parts if part not in self.at(block)]:
            self._entries.append((block, new))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"block": block, "parts": new}) + "\n")


@dataclass(frozen=True)
class Mixture:
    """Draws blocks of batches: each source by its share of the audio, its parts evenly."""

    parts: Parts
    inventory: PhoneInventory
    shares: dict[str, float]
    seed: int

    def block(self, number: int, names: list[str], batch_seconds: float) -> list[list[Utterance]]:
        """Return the batches of one block from the parts ``names``: a pool sorted by length, cut to equal seconds."""
        generator = np.random.default_rng([self.seed, number])
        utterances_of: dict[str, list[Utterance]] = {}
        for name in names:
            utterances_of.setdefault(source_of(name), []).extend(self.parts[name])
        sources = [source for source in self.shares if source in utterances_of]
        weights = np.array([self.shares[source] for source in sources])
        wanted = BATCHES_PER_BLOCK * batch_seconds * SAMPLE_RATE_HZ
        pool: list[Utterance] = []
        for source, share in zip(sources, weights / weights.sum(), strict=True):
            chosen, samples = utterances_of[source], 0
            while samples < share * wanted:
                pool.append(chosen[int(generator.integers(len(chosen)))])
                samples += len(pool[-1].samples_T)
        pool.sort(key=lambda one: len(one.samples_T))
        ends_N = np.cumsum([len(one.samples_T) for one in pool])
        cuts = np.searchsorted(ends_N, ends_N[-1] * np.arange(1, BATCHES_PER_BLOCK) / BATCHES_PER_BLOCK)
        edges = [0, *cuts.tolist(), len(pool)]
        batches = [pool[first:last] for first, last in itertools.pairwise(edges) if last > first]
        batches += batches[: BATCHES_PER_BLOCK - len(batches)]
        return [batches[index] for index in generator.permutation(BATCHES_PER_BLOCK)]

    def collate(self, utterances: list[Utterance]) -> Batch:
        """Pad audio and labels."""
        return collate(utterances, self.inventory)


def collate(utterances: list[Utterance], inventory: PhoneInventory) -> Batch:
    """Pad audio and labels; see ``Batch``."""
    samples_B = torch.tensor([len(one.samples_T) for one in utterances])
    labels = [inventory.sequence([(ipa, 0) for ipa in one.phones]) for one in utterances]
    longest = int(samples_B.max())
    audio_BT = torch.zeros(len(utterances), longest)
    labels_BL = torch.zeros(len(utterances), max(map(len, labels)), dtype=torch.long)
    classes_BF = torch.full((len(utterances), frame_count(longest)), NOT_ALIGNED)
    for row, (one, labels_L) in enumerate(zip(utterances, labels, strict=True)):
        audio_BT[row, : len(one.samples_T)] = torch.from_numpy(one.samples_T.astype(np.float32))
        labels_BL[row, : len(labels_L)] = torch.from_numpy(labels_L.astype(np.int64))
        if one.starts is not None:
            frames_F = inventory.frames_F(list(zip(one.phones, one.starts, strict=True)), 1.0, len(one.samples_T))
            classes_BF[row, : len(frames_F)] = torch.from_numpy(frames_F.astype(np.int64))
    return Batch(audio_BT, samples_B, labels_BL, torch.tensor([len(one) for one in labels]), classes_BF)
