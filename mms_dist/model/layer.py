"""One frozen transformer layer of the base, without its adapter.

The layer is always *called* as a module, and no other code accesses its weights. So DeepSpeed's ZeRO-3, which stores
the weights elsewhere, knows when they are needed: in the forward pass, the backward pass and a recomputed one. Frames
may have any leading shape; only attention mixes them.

Legend: H hidden size, K heads, E size of a head. `hidden` is [..., H].
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mms_dist.model.packed_attention import Segments

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class FrozenLayer(nn.Module):
    """A pre-norm layer with the weights of Hugging Face's `Wav2Vec2EncoderLayerStableLayerNorm`; its `state_dict` uses
    the same names."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.attention = FrozenAttention(layer.attention)
        self.layer_norm = layer.layer_norm
        self.feed_forward = layer.feed_forward
        self.final_layer_norm = layer.final_layer_norm

    def forward(self, hidden: Tensor, attend: Tensor | Segments | None) -> Tensor:
        """[..., H] to [..., H]; for `attend` see `attention`."""
        hidden = hidden + self.attention(self.layer_norm(hidden), attend)
        return hidden + self.feed_forward(self.final_layer_norm(hidden))


class FrozenAttention(nn.Module):
    """Multi-head self-attention with a single product for queries, keys and values."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.num_heads, self.head_dim = int(attention.num_heads), int(attention.head_dim)
        projections = [getattr(attention, name) for name in _PROJECTIONS]
        self.qkv = nn.Linear(attention.embed_dim, 3 * attention.embed_dim, device="meta")
        self.qkv.weight = nn.Parameter(torch.cat([projection.weight.detach() for projection in projections]))
        self.qkv.bias = nn.Parameter(torch.cat([projection.bias.detach() for projection in projections]))
        self.out_proj = attention.out_proj
        self.register_state_dict_post_hook(_split_names)

    def forward(self, hidden: Tensor, attend: Tensor | Segments | None) -> Tensor:
        qkv_3KE = self.qkv(hidden).unflatten(-1, (3, self.num_heads, self.head_dim))
        return self.out_proj(attention(qkv_3KE, attend).flatten(-2))


def attention(qkv_3KE: Tensor, attend: Tensor | Segments | None) -> Tensor:
    """Compute attention with torch's fused kernel: [B, T, 3, K, E] to [B, T, K, E].

    Args:
        attend: a mask that broadcasts to [B, K, T, T]: boolean (True where a key may be attended to) or added to the
            scores (0 there, -inf elsewhere); None to attend everywhere. Or the sequences of a packed pass, for
            [R, 64, 3, K, E].
    """
    if isinstance(attend, Segments):
        query, key, value = (part.flatten(0, 1) for part in qkv_3KE.unbind(2))
        return attend.attend(query, key, value).unflatten(0, qkv_3KE.shape[:2])
    query, key, value = (part.transpose(1, 2) for part in qkv_3KE.unbind(2))
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=attend).transpose(1, 2)


def _split_names(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    """Split queries, keys and values under the names that a checkpoint uses, which the base's hash is computed from.

    If ZeRO-3 stores the weight elsewhere, all three are as empty as it is.
    """
    for kind in ("weight", "bias"):
        fused = state.pop(f"{prefix}qkv.{kind}")
        for name, part in zip(_PROJECTIONS, fused.tensor_split(3), strict=True):
            state[f"{prefix}{name}.{kind}"] = part
