"""Run a round's forward and backward passes: from the languages' batches to gradients in the bank.

A language's objective is the (weighted) mean over its own batch, independent of the other languages. So each
utterance's loss is multiplied by its weight over the sum of the weights of its language's batch, and these products are
summed over a forward pass. Without `balance`, every weight is 1.

Between the first and the last pass nothing waits for the device. A thread describes and stages each pass while the
previous one is computed; the pass is sent in one copy, and its losses stay on the device.

Legend: B utterances of a forward pass, S slots.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch, Utterance
from mms_dist.data.packer import FORWARD_COST
from mms_dist.data.prefetcher import Prefetcher
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.errors import TrainingError
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model import transfer
from mms_dist.model.ctc import utterance_losses
from mms_dist.model.routed import RoutedModel
from mms_dist.model.staging import BLOCKS, Staged, StagingBlocks
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.observer import Observer
from mms_dist.training.packed_passes import PackedPassBuilder
from mms_dist.training.passes import DevicePass, HostPass, Pass, PassBuilder
from shards.schema import SAMPLE_RATE


@dataclass
class RoundLosses:
    """Sums of the weighted losses of each language, and the amount of audio that the model processed.

    A language's sum is its mean loss if this rank is its only owner.

    Attributes:
        sums_S: sums by slot, float64, on the device.
        slots: slot of each language with an utterance on this rank.
    """

    sums_S: Tensor
    slots: dict[str, int]
    audio_seconds: float = 0.0
    padded_seconds: float = 0.0

    @property
    def losses(self) -> dict[str, float]:
        """Return the losses by language. Waits for the device."""
        (sums,) = transfer.numbers(self.sums_S)
        return {language: sums[slot] for language, slot in self.slots.items()}


@dataclass(frozen=True)
class _Prepared:
    host: HostPass
    staged: Staged


class GradientPass:
    """Adds the gradients of a round to the bank. `close` ends its thread.

    Args:
        forward_seconds: audio of a pass, including padding or filler.
        packed: utterances lie end to end, in passes of one size.
        staging: pinned blocks through which passes go to a GPU; None: creates its own, without a memory limit.
        observer: called for every pass.
        threaded: prepare passes in a thread; None: unless the device is the CPU.
    """

    def __init__(
        self,
        model: RoutedModel,
        features: FeatureSource,
        *,
        forward_seconds: float,
        forward_cost: int = FORWARD_COST,
        seed: int,
        packed: bool = False,
        staging: StagingBlocks | None = None,
        lockstep: Lockstep | None = None,
        observer: Observer | None = None,
        threaded: bool | None = None,
    ) -> None:
        self._observer = observer or Observer()
        self._lockstep = lockstep or Lockstep(Comm(), model)
        self._watchdog = self._lockstep.comm.watchdog
        self._model = model
        self._builder = (PackedPassBuilder if packed else PassBuilder)(
            model, features, seed=seed, capacity=int(forward_seconds * SAMPLE_RATE), forward_cost=forward_cost
        )
        self.packed = packed
        self._staging = staging or StagingBlocks(model.base.device)
        self._ahead = Prefetcher(model.base.device, depth=BLOCKS - 1, threaded=threaded)
        self.forward_seconds = forward_seconds
        self.forward_cost = forward_cost

    def accumulate(self, batches: Sequence[LoadedBatch], active_languages: Mapping[str, ActiveLanguage]) -> RoundLosses:
        """Run forward and backward passes over this rank's utterances of a round, grouped by similar length.

        A loss is divided by the planned weight (without balance, size) of its whole batch. If a language has several
        owners, the sum of their losses and gradients is the mean over the batch.
        """
        utterances = [utterance for batch in batches for utterance in batch.utterances]
        totals = {batch.request.language: batch.weight for batch in batches}
        lengths = [len(utterance.audio) for utterance in utterances]
        result = RoundLosses(
            sums_S=torch.zeros(self._model.bank.slots, dtype=torch.float64, device=self._model.base.device),
            slots={utterance.language: active_languages[utterance.language].slot for utterance in utterances},
            audio_seconds=sum(lengths) / SAMPLE_RATE,
        )
        passes = [[[utterances[item] for item in strip] for strip in each] for each in self.plan_passes(utterances)]
        missing = self._lockstep.missing(len(passes))

        def prepare(strips: Sequence[Sequence[Utterance]]) -> _Prepared:
            return self._prepare(strips, totals, active_languages)

        with contextlib.closing(self._ahead.map(prepare, passes)) as all_prepared:
            for number, prepared in enumerate(all_prepared, start=1):
                self._watchdog.mark(f"forward and backward pass {number} of {len(passes)}")
                self._observer.before_pass(number, len(passes))
                members = prepared.host.members
                try:
                    with self._lockstep.collective_pass():
                        self._forward_backward(prepared, result.sums_S)
                except torch.OutOfMemoryError as error:
                    raise TrainingError(
                        f"the device ran out of memory in a forward pass of {len(members)} utterances",
                        fix=f"lower rounds.forward_seconds (now {self.forward_seconds:g}), or set "
                        "model.activation_checkpointing",
                    ) from error
                result.padded_seconds += self.seconds(members)
        self._lockstep.idle(missing, backward=True)
        return result

    def plan_passes(self, utterances: Sequence[Utterance]) -> list[Pass]:
        """Group utterances into forward passes."""
        return self._builder.passes(utterances)

    def device_pass(
        self,
        strips: Sequence[Sequence[Utterance]],
        totals: Mapping[str, float],
        active_languages: Mapping[str, ActiveLanguage],
    ) -> DevicePass:
        """Return the device input of a single pass; `totals` are the sums of the batches' weights by language."""
        prepared = self._prepare(strips, totals, active_languages)
        return self._builder.on_device(prepared.host, prepared.staged.on_device())

    def seconds(self, members: Sequence[Utterance]) -> float:
        """Return the audio of a pass over these utterances, including padding or filler."""
        return self._builder.seconds(members)

    @property
    def waited_seconds(self) -> float:
        """Total time spent waiting for passes that were not prepared in time."""
        return self._ahead.waited_seconds

    def close(self) -> None:
        """End the thread and wait for it."""
        self._ahead.close()

    def _prepare(
        self,
        strips: Sequence[Sequence[Utterance]],
        totals: Mapping[str, float],
        active_languages: Mapping[str, ActiveLanguage],
    ) -> _Prepared:
        members = [member for strip in strips for member in strip]
        weights = [member.weight / totals[member.language] for member in members]
        owners = [active_languages[member.language] for member in members]
        host = self._builder.on_host(strips, weights, owners)
        return _Prepared(host, self._staging.stage(host.tensors))

    def _forward_backward(self, prepared: _Prepared, sums_S: Tensor) -> None:
        """Compute one pass: add its gradients to the bank and its weighted losses to `sums_S`."""
        on_device = self._builder.on_device(prepared.host, prepared.staged.on_device())
        losses_B = utterance_losses(
            self._model.device_logits(on_device.batch),
            on_device.frames_B,
            on_device.labels_BL,
            on_device.label_lengths_B,
        )
        weighted_B = losses_B * on_device.weights_B
        weighted_B.sum().backward()
        own_SB = on_device.slots_B == torch.arange(len(sums_S), device=sums_S.device)[:, None]
        # Not `index_add_`, whose order of additions varies on a GPU: reported losses must be reproducible too.
        sums_S += torch.where(own_SB, weighted_B.detach().to(sums_S.dtype), 0).sum(1)
