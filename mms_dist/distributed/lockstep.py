"""Give all ranks the same number of forward passes when the base is sharded.

Under ZeRO-3 every layer of every pass is a collective of all ranks. A rank with fewer utterances, or without a
language, must run as many passes as the others; it adds idle passes to get there.
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
    """Equalises the number of passes; does nothing if the base is not sharded.

    `spare_slot` is a slot of the bank that no language uses; None if the base is not sharded.
    """

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
        """Return a context for a pass. If the base is sharded, the watchdog then knows that it waits for all ranks."""
        return self.comm.waiting_for("a pass of all ranks") if self.is_needed else contextlib.nullcontext()

    def missing(self, passes: int) -> int:
        """Return how many idle passes this rank must add to its `passes`. Call it before the first pass."""
        if self.spare_slot is None:
            return 0
        return self.comm.all_reduce_max([passes], about="the number of forward passes")[0] - passes

    def idle(self, passes: int = 1, *, backward: bool) -> None:
        """Run passes without an utterance that change no state. Does nothing if the base is not sharded."""
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
