"""Even numbers of forward passes, where the base is spread over the ranks.

Under ZeRO-3 every layer of every pass is a collective of all ranks: one with fewer utterances, or with no language
left, must go through the layers as often as the others. What it has too few it makes up with idle passes.
"""

import contextlib
from dataclasses import dataclass

import torch

from mms_dist.distributed.comm import Comm
from mms_dist.model.routed import ModelInput, RoutedModel

_FRAMES = 2
_VOCABULARY = 1


@dataclass(frozen=True)
class Lockstep:
    """`spare_slot` is a row of the bank that no language uses; None where the base is whole on every rank, and passes
    need no company."""

    comm: Comm
    model: RoutedModel
    spare_slot: int | None = None

    def __post_init__(self) -> None:
        if self.spare_slot is not None:
            self.model.bank.vocabulary_sizes[self.spare_slot] = _VOCABULARY

    @property
    def is_needed(self) -> bool:
        return self.spare_slot is not None

    def collective_pass(self) -> contextlib.AbstractContextManager[None]:
        """Around a pass: it goes on only as fast as those of the other ranks, where the base is sharded."""
        return self.comm.waiting_for("a pass of all ranks") if self.is_needed else contextlib.nullcontext()

    def missing(self, passes: int) -> int:
        """How many passes this rank has too few, of a kind of which it has this many to do: ask before the first."""
        if self.spare_slot is None:
            return 0
        return self.comm.all_reduce_max([passes], about="the number of forward passes")[0] - passes

    def idle(self, passes: int = 1, *, backward: bool) -> None:
        """Go through the layers with nothing, and leave nothing behind. Does nothing where the base is whole."""
        if self.spare_slot is None:
            return
        base, bank = self.model.base, self.model.bank
        features_BTC = torch.zeros(1, _FRAMES, base.feature_channels, dtype=base.dtype, device=base.device)
        batch = self.model.on_device(ModelInput(features_BTC, torch.tensor([_FRAMES]), torch.tensor([self.spare_slot])))
        for _ in range(passes):
            self.comm.watchdog.mark("an idle pass")
            with self.collective_pass(), torch.set_grad_enabled(backward):
                logits_BTV = self.model.device_logits(batch)
                if backward:
                    logits_BTV.sum().backward()
            if backward:
                bank.grads[self.spare_slot].zero_()
