"""The architecture of the base, its phone classifier, and its two training losses.

Shapes: B utterances, T samples, F frames of 20 ms, H hidden, V phone classes (0 = silence and blank).
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model


@dataclass(frozen=True)
class Size:
    """Widths of the base. Lower convolutions run at up to 3,200 frames a second, so they are narrow."""

    hidden: int = 192
    layers: int = 6
    heads: int = 4
    channels: tuple[int, ...] = (64,) * 7


SHIPPED = Size()
SIZES = {"192": SHIPPED, "256": Size(256, 6, 4, (32, 32, 48, 64, 96, 128, 192))}


def base_config(size: Size = SHIPPED) -> Wav2Vec2Config:
    """Return the configuration of facebook/mms-300m at a hundredth of its size; no vocabulary, head or adapters."""
    return Wav2Vec2Config(
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden,
        conv_dim=size.channels,
        conv_stride=(5, 2, 2, 2, 2, 2, 2),
        conv_kernel=(10, 3, 3, 3, 3, 2, 2),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=128,
        num_conv_pos_embedding_groups=16,
        hidden_dropout=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        mask_time_prob=0.075,
        mask_time_length=10,
        mask_feature_prob=0.0,
        pad_token_id=0,
        vocab_size=32,
    )


def spectral_convolution(one: nn.Conv1d, hidden_BHF: Tensor) -> Tensor:
    """Return what the grouped convolution ``one`` does, by multiplying spectra: its many taps are slow to train."""
    batch, width, frames = hidden_BHF.shape
    groups, taps, padding = one.groups, one.kernel_size[0], int(one.padding[0])
    size = -(-(frames + 2 * padding) // 64) * 64
    with torch.autocast("cpu", enabled=False):
        spectrum_BHS = torch.fft.rfft(hidden_BHF.float(), size)
        taps_OIS = torch.fft.rfft(one.weight.float(), size).conj()
        spectrum_SGBI = spectrum_BHS.view(batch, groups, width // groups, -1).permute(3, 1, 0, 2)
        taps_SGIO = taps_OIS.view(groups, width // groups, width // groups, -1).permute(3, 0, 2, 1)
        product_SGBO = spectrum_SGBI @ taps_SGIO
        heard_BHF = torch.fft.irfft(product_SGBO.permute(2, 1, 3, 0).reshape(batch, width, -1), size)
        heard_BHF = heard_BHF.roll(padding, 2)[:, :, : frames + 2 * padding - taps + 1]
        return heard_BHF if one.bias is None else heard_BHF + one.bias[:, None]


class PhoneRecognizer(nn.Module):
    """The base with linear phone classifiers on its top and in its middle; only the base is shipped."""

    def __init__(self, classes: int, size: Size = SHIPPED) -> None:
        super().__init__()
        self.size = size
        self.base = Wav2Vec2Model(base_config(size))
        self.classifier = nn.Linear(size.hidden, classes)
        self.middle_norm = nn.LayerNorm(size.hidden)
        self.middle_classifier = nn.Linear(size.hidden, classes)

    def quicken(self) -> None:
        """Use faster equivalents of the positional convolution and of attention, for training on a CPU."""
        convolution = self.base.encoder.pos_conv_embed.conv
        convolution.forward = partial(spectral_convolution, convolution)
        self.base.set_attn_implementation("eager")

    def frames_B(self, samples_B: Tensor) -> Tensor:
        """Return the number of frames of each utterance."""
        return self.base._get_feat_extract_output_lengths(samples_B)

    def front_end(self, audio_BT: Tensor) -> Tensor:
        """Return convolutional features BFC of normalised audio; no gradient below the lowest trained layer."""
        hidden_BCF = audio_BT[:, None]
        for layer in self.base.feature_extractor.conv_layers:
            hidden_BCF = layer(hidden_BCF)
        return hidden_BCF.transpose(1, 2)

    def forward(self, features_BFC: Tensor, frames_B: Tensor, masked_BF: Tensor | None = None) -> Tensor:
        """Return phone logits BFV; frames in ``masked_BF`` are replaced by ``masked_spec_embed``."""
        return self.both_logits(features_BFC, frames_B, masked_BF)[0]

    def both_logits(
        self, features_BFC: Tensor, frames_B: Tensor, masked_BF: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return phone logits BFV of the last layer and of the middle one (Lee and Watanabe 2021)."""
        real_BF = torch.arange(features_BFC.shape[1])[None] < frames_B[:, None]
        hidden_BFH, _ = self.base.feature_projection(features_BFC)
        if masked_BF is not None:
            embedding_H = self.base.masked_spec_embed.to(hidden_BFH.dtype)
            hidden_BFH = torch.where(masked_BF[..., None], embedding_H, hidden_BFH)
        middle: list[Tensor] = []
        layers = self.base.encoder.layers
        layer = layers[(len(layers) - 1) // 2]
        with layer.register_forward_hook(lambda _, __, output: middle.append(_first(output))):
            encoded = self.base.encoder(hidden_BFH, attention_mask=real_BF)
        middle_BFV = self.middle_classifier(self.middle_norm(middle[0]))
        return self.classifier(encoded.last_hidden_state), middle_BFV


def _first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def frame_loss(logits_BFV: Tensor, frames_BF: Tensor) -> Tensor:
    """Return the mean cross-entropy over the aligned frames; frames labelled −1 (padding) do not count."""
    return F.cross_entropy(logits_BFV.float().flatten(0, 1), frames_BF.flatten().long(), ignore_index=-1)


def ctc_loss(logits_BFV: Tensor, frames_B: Tensor, labels_BL: Tensor, lengths_B: Tensor) -> Tensor:
    """Return the CTC loss, with each utterance divided by its number of labels."""
    log_probabilities_FBV = logits_BFV.float().log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probabilities_FBV, labels_BL, frames_B, lengths_B, blank=0, zero_infinity=True)
