"""The frozen base with the adapters of some languages: recordings in, log-probabilities out.

It is loaded from a run, from a folder that `mms-dist export` wrote, or from an MMS model of Hugging Face.

Legend: B recordings, T frames, V the vocabulary of one language.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mms_dist.checkpoint.adapter_file import check_adapter
from mms_dist.checkpoint.adapter_folder import AdapterFolder
from mms_dist.checkpoint.choice import choose_languages, load_checkpoint
from mms_dist.checkpoint.language_folder import PointerName
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config, load_config, parse_config
from mms_dist.data.packer import pack
from mms_dist.distributed.device import use_device
from mms_dist.errors import CheckpointError
from mms_dist.hardware.base_loading import load_base
from mms_dist.hardware.hardware import single_process_hardware
from mms_dist.hardware.resolve import resolve
from mms_dist.model import transfer
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.routed import ModelInput, RoutedModel
from mms_dist.model.waveform import normalised
from mms_dist.run_directory.paths import RunPaths
from shards.audio.recording import Samples
from shards.schema import SAMPLE_RATE, frames_of
from shards.vocabulary import Vocabulary

# On a CPU, oneDNN keeps a program and its buffers for each of the last 1,024 shapes. Recordings have windows of every
# length, so over some hours that would grow to gigabytes. It must be set before the first pass.
_FEW_PRIMITIVES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

Adapters = Mapping[str, tuple[Mapping[str, Tensor], Vocabulary]]
"""By language: the tensors under Hugging Face's names, and the vocabulary of the head."""


class AcousticModel:
    """Computes outputs of recordings in any of its languages, mixed in one pass.

    Args:
        config: `model`, `run.device`, `evaluation` and the languages' own settings of it are used.
        adapters: one at least; all of the same shape.

    Attributes:
        evaluations: by language, the section `evaluation` of the configuration.
        shards: those of the run; None if it is not one.
    """

    def __init__(self, config: Config, adapters: Adapters) -> None:
        device = use_device(config.run.device)
        config = replace(config, model=replace(config.model, attention="padded", compile="off", feature_cache_gib=0.0))
        resolved = resolve(config, single_process_hardware(device))
        self._base = load_base(config, device, resolved)
        self.evaluations = {language: config.for_language(language).evaluation for language in adapters}
        self.shards: str | None = None
        self._capacity = int(resolved.evaluation_seconds * SAMPLE_RATE)
        self._forward_cost = resolved.forward_cost_samples
        shape = check_adapter(next(iter(adapters.values()))[0])
        layout = RowLayout(len(self._base.layers), self._base.hidden, shape.dim)
        if (shape.layers, shape.hidden) != (layout.layers, layout.hidden):
            raise CheckpointError(
                f"the adapters are for {shape.layers} layers of {shape.hidden}, the base {config.model.base} has "
                f"{layout.layers} of {layout.hidden}",
                fix="give the base that they were trained on (--model.base)",
            )
        self.vocabularies = {language: vocabulary for language, (_, vocabulary) in adapters.items()}
        self._slots = {language: slot for slot, language in enumerate(adapters)}
        self._hashes = {language: _hash_of(tensors) for language, (tensors, _) in adapters.items()}
        bank = AdapterBank(
            layout,
            slots=len(adapters),
            largest_vocabulary=max(map(len, self.vocabularies.values())),
            dtype=torch.promote_types(self._base.dtype, torch.float32),
            device=device,
        )
        for language, (tensors, _) in adapters.items():
            bank.load(self._slots[language], dict(tensors))
        self._model = RoutedModel(self._base, bank)

    @property
    def chunk_samples(self) -> int:
        """Audio that is best given to `log_probs` at once."""
        return 4 * self._capacity

    def identity(self, language: str) -> str:
        """Return what tells this base and adapter from all others, the same for a run and its export."""
        return f"base {self._base.weights_hash()}, adapter {language} {self._hashes[language]}"

    def log_probs(self, languages: Sequence[str], audio: Sequence[Samples]) -> list[NDArray[np.float32]]:
        """Return the log-probabilities `[T, V]` of each recording, in the vocabulary of its language.

        Args:
            audio: int16 at 16 kHz, each long enough for one frame (25 ms).
        """
        found: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * len(audio)
        groups = pack([len(each) for each in audio], capacity=self._capacity, forward_cost=self._forward_cost)
        for group in groups:
            outputs = self._pass([languages[place] for place in group], [audio[place] for place in group])
            for place, log_prob_TV in zip(group.tolist(), outputs, strict=True):
                found[place] = log_prob_TV
        return found

    @torch.no_grad()
    def _pass(self, languages: Sequence[str], audio: Sequence[Samples]) -> list[NDArray[np.float32]]:
        device = self._base.device
        samples_B = np.array([len(each) for each in audio])
        audio_BS = np.zeros((len(audio), samples_B.max()), np.int16)
        for row, each in zip(audio_BS, audio, strict=True):
            row[: len(each)] = each
        padded = transfer.to_device(torch.from_numpy(audio_BS), device)
        lengths = transfer.to_device(torch.from_numpy(samples_B), device)
        frames_B = frames_of(samples_B)
        batch = ModelInput(
            self._base.features(normalised(padded, lengths)),
            torch.from_numpy(frames_B),
            torch.tensor([self._slots[language] for language in languages]),
        )
        logits_BTV = transfer.to_host(self._model.logits(batch).float())
        sizes = [len(self.vocabularies[language]) for language in languages]
        return [
            logits_TV[:frames, :size].log_softmax(-1).numpy()
            for logits_TV, frames, size in zip(logits_BTV, frames_B.tolist(), sizes, strict=True)
        ]


def _hash_of(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_acoustic_model(
    place: str, languages: Sequence[str], *, pointer: PointerName = "best", settings: Sequence[str] = ()
) -> AcousticModel:
    """Load the adapters of some languages, and the base.

    Args:
        place: folder of a run or an export, or an MMS model as a folder or Hub name.
        pointer: which checkpoint of a run.
        settings: changes to the configuration, such as `["--run.device", "cpu"]`.

    Raises:
        CheckpointError: a language is not there, or its adapter is damaged; the nearest code is named.
        BaseModelError, ConfigError: the base cannot be loaded, or a setting is wrong.
    """
    os.environ.setdefault(*_FEW_PRIMITIVES)
    run = RunPaths(place)
    if run.config.is_file():
        config = load_config(run.config, settings)
        adapters = _of_run(run, languages, pointer)
    else:
        config = parse_config({"model": {"base": place}}, settings)
        folder = AdapterFolder(place)
        adapters = {language: folder.load(language) for language in languages}
    model = AcousticModel(config, adapters)
    model.shards = config.data.shards if run.config.is_file() else None
    return model


def _of_run(run: RunPaths, languages: Sequence[str], pointer: PointerName) -> Adapters:
    found = {}
    with CheckpointStore(run.adapters, keep=1) as store:
        for language in choose_languages(store.languages(), languages, run.adapters):
            snapshot, _ = load_checkpoint(store, language, pointer)
            found[language] = snapshot.adapter, Vocabulary.from_nested(snapshot.vocabulary, language)
    return found
