"""Start a head from one that was trained with another vocabulary: its rows are taken by character.

Legend: V vocabulary size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.model.adapter import HEAD_BIAS, HEAD_WEIGHT
from shards.vocabulary import Vocabulary

# How other tokenizers name the tokens that every vocabulary has.
_OTHER_NAMES = {"<pad>": ("[PAD]",), "<unk>": ("[UNK]",), "|": (" ",)}


@dataclass(frozen=True, slots=True)
class MappedRows:
    """Where the rows of a head came from: how many of the other head, and the tokens that have a new one.

    `unused`: how many tokens of the other vocabulary have no place in this one.
    """

    taken: int
    new: tuple[str, ...]
    unused: int


def mapped_head(
    head: Mapping[str, Tensor], ids: Mapping[str, int], vocabulary: Vocabulary, fresh: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], MappedRows]:
    """Return `lm_head.weight` [V, H] and `lm_head.bias` [V] for `vocabulary`, and where their rows came from.

    Args:
        head: the tensors of the other head.
        ids: its vocabulary: the row of each token.
        fresh: a new head for `vocabulary`, whose rows are used where the other has none.
    """
    rows = [_row_of(token, ids) for token in vocabulary.tokens]
    kept = [place for place, row in enumerate(rows) if row is not None]
    taken = [row for row in rows if row is not None]
    mapped = {}
    for name in (HEAD_WEIGHT, HEAD_BIAS):
        tensor = fresh[name].to(head[name].dtype, copy=True)
        tensor[torch.tensor(kept, dtype=torch.int64)] = head[name][torch.tensor(taken, dtype=torch.int64)]
        mapped[name] = tensor
    new = tuple(token for token, row in zip(vocabulary.tokens, rows, strict=True) if row is None)
    return mapped, MappedRows(len(taken), new, len(set(ids.values()) - set(taken)))


def _row_of(token: str, ids: Mapping[str, int]) -> int | None:
    return next((ids[name] for name in (token, *_OTHER_NAMES.get(token, ())) if name in ids), None)
