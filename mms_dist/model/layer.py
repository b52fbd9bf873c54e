"""One frozen transformer layer of the base, without its adapter.

It is a module that is *called*, with nothing reaching past it to the weights inside: whatever keeps these weights
elsewhere (DeepSpeed's ZeRO-3) then knows when they are needed, in the forward pass, the backward pass and a recomputed
one.

Legend: B utterances, T frames, H hidden size.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mms_dist.model.segments import Segments


class FrozenLayer(nn.Module):
    """A pre-norm layer: the weights of Hugging Face's `Wav2Vec2EncoderLayerStableLayerNorm`, under the same names."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.attention = layer.attention
        self.layer_norm = layer.layer_norm
        self.feed_forward = layer.feed_forward
        self.final_layer_norm = layer.final_layer_norm

    def forward(self, hidden_BTH: Tensor, attend: Tensor | Segments | None) -> Tensor:
        """[B, T, H] to [B, T, H]; `attend` is True where a key may be attended to, or says which frames of all rows
        are a sequence."""
        hidden_BTH = hidden_BTH + self._attention(self.layer_norm(hidden_BTH), attend)
        return hidden_BTH + self.feed_forward(self.final_layer_norm(hidden_BTH))

    def _attention(self, hidden_BTH: Tensor, attend: Tensor | Segments | None) -> Tensor:
        """Multi-head self-attention through torch's fused kernel."""
        attention = self.attention
        batch, frames, hidden = hidden_BTH.shape
        heads = (batch, frames, attention.num_heads, attention.head_dim)
        query, key, value = (
            projection(hidden_BTH).view(heads) for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if isinstance(attend, Segments):
            mixed = attend.attend(query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1))
        else:
            query, key, value = (each.transpose(1, 2) for each in (query, key, value))
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=attend).transpose(1, 2)
        return attention.out_proj(mixed.reshape(batch, frames, hidden))
