"""A device without values, to see what crosses between host and device and what waits.

On torch's `meta` device whatever asks for a value raises: `.item()`, `.tolist()`, `bool(tensor)`, `.cpu()`, a mask as
an index. What only copies to the device is counted here. Code that has a way of its own for the CPU takes a GPU's here.
"""

import contextlib
from collections import Counter
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.routed import RoutedModel

META = torch.device("meta")


class Crossings:
    """Counts what this thread does that involves both the host and the device, while it is entered.

    `operations` are all that torch computed, by name.
    """

    def __init__(self) -> None:
        self.count = 0
        self.operations: Counter[str] = Counter()
        self._modes = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._modes.enter_context(_Operations(self))
        self._modes.enter_context(_Calls(self))
        return self

    def __exit__(self, *error: object) -> None:
        self._modes.close()


class _Operations(TorchDispatchMode):
    """What torch computes, in the backward pass as well."""

    def __init__(self, crossings: Crossings) -> None:
        super().__init__()
        self._crossings = crossings

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._crossings.operations[str(func)] += 1
        tensors = [each for each in tree_leaves((args, kwargs, out)) if isinstance(each, Tensor)]
        # A number of the host in an operation of the device is passed by value.
        self._crossings.count += len({each.device for each in tensors if each.dim() or each.device == META}) > 1
        return out


class _Calls(TorchFunctionMode):
    """What is called with values of Python: below, on a device without values, nothing of them is left to see."""

    def __init__(self, crossings: Crossings) -> None:
        super().__init__()
        self._crossings = crossings

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor):
            self._crossings.count += out.device == META
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].device == META:
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            self._crossings.count += any(isinstance(place, list | np.ndarray) for place in places)
        return out


def without_values(model: RoutedModel) -> RoutedModel:
    """The model on the device without values; its bank holds as many slots and the same vocabularies."""
    base = FrozenBase.of(model.base.module.to(META), model.base.config, model.base.path)
    bank = AdapterBank(model.bank.layout, slots=model.bank.slots, largest_vocabulary=1, device=META)
    bank.rows = torch.zeros(model.bank.rows.shape, device=META, requires_grad=True)
    bank.grads = torch.zeros(model.bank.rows.shape, device=META)
    bank.vocabulary_sizes = list(model.bank.vocabulary_sizes)
    return RoutedModel(base, bank, activation_checkpointing=model.activation_checkpointing)
