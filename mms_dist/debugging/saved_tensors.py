"""Count the tensors that autograd keeps between the forward and the backward pass."""

from types import TracebackType
from typing import Self

import torch
from torch import Tensor


class SavedTensors:
    """Counts the tensors that are saved for backward inside a `with` block, without the weights.

    Attributes:
        count: number of saved tensors.
        bytes: size of their storages, each counted once even if several tensors share it.
    """

    def __init__(self, weights: list[Tensor]) -> None:
        self._weights = {tensor.untyped_storage().data_ptr() for tensor in weights}
        self._storages: dict[int, torch.UntypedStorage] = {}  # kept alive, so that no address is reused
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)
        self.count = 0

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._storages.values())

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._weights:
            self.count += 1
            self._storages[storage.data_ptr()] = storage
        return tensor

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hooks.__exit__(kind, error, trace)
