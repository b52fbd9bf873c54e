"""The frozen base: any Wav2Vec2 or MMS checkpoint with stable layer norm, without head or adapters.

Legend: B utterances, N audio samples, T frames (20 ms), C front-end channels, H hidden size.
"""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mms_dist.model import transfer
from mms_dist.model.base_config import read_base_config
from mms_dist.model.base_encoder import check_finite, load_encoder
from mms_dist.model.base_files import resolve_base
from mms_dist.model.cuda_settings import set_cuda_arithmetic
from mms_dist.model.frozen_convolutions import FrontEnd, PositionProducts
from mms_dist.model.layer import FrozenLayer
from mms_dist.model.packed_attention import Segments

MERGED = "encoder.pos_conv_embed.conv.weight"
"""The weight merged from its norm and direction. It is NaN where a direction is all zeros."""
_IDENTITY_VALUES = 64
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


Gather = Callable[[Tensor], contextlib.AbstractContextManager[Any]]
"""Makes a context in which a sharded weight is whole; entering it is a collective of all ranks."""


@dataclass(frozen=True)
class Sharding:
    """The base's weights hash and parameter count, recorded before sharding, and how to gather a sharded weight."""

    weights_hash: str
    parameters: int
    gather: Gather


@dataclass(frozen=True)
class FrozenBase:
    """A `Wav2Vec2Model` whose weights never change and never get gradients."""

    module: nn.Module
    config: Any
    path: str
    front_end: Callable[[Tensor], Tensor]
    """Normalised audio [B, N] to features [B, T, C]."""
    position: Callable[[Tensor], Tensor]
    """The positional convolution, [B, T, H] to [B, T, H]."""
    sharding: Sharding | None = None

    @classmethod
    def load(cls, name_or_path: str, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> "FrozenBase":
        """Load a checkpoint from a folder or the Hub, in `dtype`, and set the GPU's arithmetic.

        A head, adapters or a quantizer in the checkpoint are ignored: every language has its own.

        Raises:
            BaseModelError: the checkpoint cannot be loaded, weights are missing or not finite, or the encoder has no
                stable layer norm (Hugging Face's other encoder has no adapters, so only the head would be trained).
        """
        set_cuda_arithmetic()
        path = resolve_base(name_or_path)
        config = read_base_config(path, name_or_path)
        config.layerdrop = 0.0
        module: Any
        module, has_mask_embedding = load_encoder(path, config, dtype, name=f"model.base {name_or_path!r}")
        if not has_mask_embedding:
            del module.masked_spec_embed  # initialised at random by the library; masking with zeros is reproducible
        _merge_weight_norm(module)
        check_finite({MERGED: module.encoder.pos_conv_embed.conv.weight}, {}, path)
        module.encoder.layers = nn.ModuleList(FrozenLayer(layer) for layer in module.encoder.layers)
        module = transfer.module_to_device(module.requires_grad_(False).eval(), device)
        return cls.of(module, config, path)

    @classmethod
    def of(cls, module: Any, config: Any, path: str) -> "FrozenBase":
        """Wrap a frozen encoder, with the convolutions that are fastest on its device."""
        front_end, position = module.feature_extractor, module.encoder.pos_conv_embed
        device = next(module.parameters()).device
        position = position if device.type == "cpu" else PositionProducts(position)
        return cls(module, config, path, FrontEnd.for_device(front_end, device), position)

    @property
    def layers(self) -> nn.ModuleList:
        return self.module.encoder.layers  # type: ignore[union-attr,return-value]

    @property
    def hidden(self) -> int:
        return int(self.config.hidden_size)

    @property
    def feature_channels(self) -> int:
        """Channels of the front end's output."""
        return int(self.config.conv_dim[-1])

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @torch.no_grad()
    def features(self, audio_BN: Tensor) -> Tensor:
        """Run the convolutional front end: normalised audio [B, N] to features [B, T, C]."""
        return self.front_end(audio_BN.to(self.dtype))

    @torch.no_grad()
    def embed(
        self, features_BTC: Tensor, valid_BT: Tensor, time_BT: Tensor | None, channel_BH: Tensor | None
    ) -> Tensor:
        """Project, mask and position the features: [B, T, C] to the encoder's input [B, T, H].

        Args:
            valid_BT: True for the frames that belong to the utterance; the others become zero, as when the base was
                trained, because the positional convolution sees them.
            time_BT: frames replaced by the base's mask embedding (zero if it has none), or None.
            channel_BH: channels set to zero, or None.
        """
        hidden_BTH = self.project(features_BTC, time_BT, None if channel_BH is None else channel_BH[:, None, :])
        hidden_BTH = hidden_BTH.masked_fill(~valid_BT[:, :, None], 0)
        return hidden_BTH + self.positions(hidden_BTH)

    @torch.no_grad()
    def project(self, features: Tensor, time: Tensor | None, channels: Tensor | None) -> Tensor:
        """Project and mask the features, [..., C] to [..., H]; `time` masks frames [...], `channels` [..., H]."""
        base: Any = self.module
        hidden = base.feature_projection(features)[0]
        if time is not None:
            embedding = getattr(base, "masked_spec_embed", None)
            fill_H = hidden.new_zeros(self.hidden) if embedding is None else embedding.to(hidden.dtype)
            hidden = torch.where(time[..., None], fill_H, hidden)
        return hidden if channels is None else hidden.masked_fill(channels, 0)

    @torch.no_grad()
    def positions(self, hidden_BTH: Tensor) -> Tensor:
        """Run the positional convolution, [B, T, H], with zero padding around every row."""
        return self.position(hidden_BTH)

    @property
    def position_gap(self) -> int:
        """Number of zero frames that separate two utterances in the positional convolution."""
        return int(self.config.num_conv_pos_embeddings) // 2

    def layer(self, index: int, hidden: Tensor, attend: Tensor | Segments | None) -> Tensor:
        """Run one frozen transformer layer without its adapter, [..., H] to [..., H]; see `layer.attention`."""
        return self.layers[index](hidden, attend)

    def final_norm(self, hidden: Tensor) -> Tensor:
        return self.module.encoder.layer_norm(hidden)  # type: ignore[union-attr,operator]

    def sharded(self, shard: Callable[[nn.ModuleList], Gather]) -> "FrozenBase":
        """Return this base after `shard` has sharded the weights of the given layers over all ranks, in place."""
        weights_hash, parameters = self.weights_hash(), self.parameter_count()
        return replace(self, sharding=Sharding(weights_hash, parameters, shard(self.layers)))

    def parameter_count(self) -> int:
        if self.sharding is not None:
            return self.sharding.parameters
        return sum(parameter.numel() for parameter in self.module.parameters())

    def weights_hash(self) -> str:
        """A short hash of the weights, 16 hexadecimal digits, the same for every dtype they are loaded in.

        It covers the first values of each weight, rounded to bfloat16. The merged positional convolution is excluded,
        because it is computed in the model's dtype.
        """
        if self.sharding is not None:
            return self.sharding.weights_hash
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in sorted(self.module.state_dict().items()):
            if "pos_conv_embed.conv.weight" not in name:
                start = transfer.to_host(tensor.flatten()[:_IDENTITY_VALUES]).to(torch.bfloat16).view(torch.uint8)
                digest.update(name.encode() + str(tuple(tensor.shape)).encode() + start.numpy().tobytes())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 of all weights. If it differs before and after training, something was not frozen.

        If the layers are sharded, all ranks must call this together.
        """
        digest = hashlib.sha256()
        for name, tensor in sorted([*self.module.named_parameters(), *self.module.named_buffers()]):
            with self._whole(name, tensor):
                digest.update(name.encode())
                digest.update(transfer.to_host(tensor).contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def _whole(self, name: str, tensor: Tensor) -> contextlib.AbstractContextManager[Any]:
        if self.sharding is None or not (isinstance(tensor, nn.Parameter) and name.startswith("encoder.layers.")):
            return contextlib.nullcontext()
        return self.sharding.gather(tensor)


def _merge_weight_norm(module: Any) -> None:
    """Compute the positional convolution's weight-normed weight once, because it is frozen."""
    parametrize.remove_parametrizations(module.encoder.pos_conv_embed.conv, "weight")
