"""I4: the base is frozen, and backpropagation stops below the lowest adapter.

Legend: B utterances, T frames.
"""

from collections import Counter
from typing import Any

import torch

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import Check, verdict
from mms_dist.debugging.saved_tensors import SavedTensors
from mms_dist.model import transfer
from mms_dist.model.base import FrozenBase


def base_is_unchanged(base: FrozenBase, fingerprint: str) -> Check:
    """Check that, after the whole session, the base has the same SHA-256 as when it was loaded, and no gradient."""
    with_gradient = [name for name, weight in base.module.named_parameters() if weight.grad is not None]
    trainable = [name for name, weight in base.module.named_parameters() if weight.requires_grad]
    now = base.fingerprint()
    measured = f"SHA-256 {now[:12]}… before and after, {sum(1 for _ in base.module.parameters())} weights, no gradient"
    if now != fingerprint:
        measured = f"SHA-256 was {fingerprint[:12]}…, is {now[:12]}…"
    elif with_gradient or trainable:
        measured = f"{(with_gradient or trainable)[0]} is not frozen"
    holds = now == fingerprint and not with_gradient and not trainable
    return verdict("I4", "the base does not change, and gets no gradient", holds, measured)


def nothing_is_saved_below_adapters(bench: Bench) -> Check:
    """Check that the front end, the projection and the lowest layer keep nothing for a backward pass."""
    base = bench.components.base
    batch = bench.forward(bench.forward_groups()[0][:1]).batch
    audio_BS = transfer.to_device(torch.from_numpy(bench.utterances()[0].audio), base.device)[None].float()
    valid_BT = torch.ones(batch.features_BTC.shape[:2], dtype=torch.bool, device=base.device)
    with SavedTensors([]) as saved:
        base.features(audio_BS)
        hidden_BTH = base.layer(0, base.embed(batch.features_BTC, valid_BT, None, None), None)
    holds = saved.count == 0 and not hidden_BTH.requires_grad
    return verdict("I4", "below the lowest adapter nothing is kept", holds, f"{saved.count} tensors saved for backward")


def backward_reaches_rows_only(bench: Bench) -> Check:
    """Check that the graph of the losses ends at the bank's rows and contains no convolution."""
    members = bench.forward_groups()[0]
    nodes, leaves = _graph(bench.forward(members).losses_B.grad_fn)
    rows = bench.components.bank.rows
    other_leaves = [leaf for leaf in leaves if leaf is not rows]
    convolutions = sum(count for name, count in nodes.items() if "Convolution" in name)
    holds = not other_leaves and not convolutions and len(leaves) > 0
    measured = f"{nodes.total():,} nodes, {convolutions} convolutions, {len(leaves)} leaf: the bank's rows"
    if other_leaves:
        shape = tuple(other_leaves[0].shape)
        measured = f"reaches {len(other_leaves)} tensors other than the rows; the first has shape {shape}"
    return verdict("I4", "backpropagation reaches the languages' rows and nothing else", holds, measured)


def _graph(root: Any) -> tuple[Counter[str], list[torch.Tensor]]:
    """Count the nodes below `root` by name, and return the leaves that gradients are added to."""
    nodes: Counter[str] = Counter()
    leaves, seen, waiting = [], set(), [root]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes[node.name()] += 1
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        waiting += [following for following, _ in node.next_functions]
    return nodes, leaves
