"""The architecture of the base, its phone classifier, and its two training losses.

Shapes: B utterances, T samples, F frames of 20 ms, H hidden, V phone classes (0 = silence and blank).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2Model

HIDDEN_SIZE = 192
FRONT_END_CHANNELS = 64


def base_config(layers: int = 6) -> Wav2Vec2Config:
    """Return the configuration of facebook/mms-300m at a hundredth of its size; no vocabulary, head or adapters."""
    return Wav2Vec2Config(
        hidden_size=HIDDEN_SIZE,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * HIDDEN_SIZE,
        conv_dim=(FRONT_END_CHANNELS,) * 7,
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


class PhoneRecognizer(nn.Module):
    """The base with a linear phone classifier; only the base is shipped."""

    def __init__(self, classes: int, layers: int = 6) -> None:
        super().__init__()
        self.base = Wav2Vec2Model(base_config(layers))
        self.classifier = nn.Linear(HIDDEN_SIZE, classes)

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
        real_BF = torch.arange(features_BFC.shape[1])[None] < frames_B[:, None]
        hidden_BFH, _ = self.base.feature_projection(features_BFC)
        if masked_BF is not None:
            embedding_H = self.base.masked_spec_embed.to(hidden_BFH.dtype)
            hidden_BFH = torch.where(masked_BF[..., None], embedding_H, hidden_BFH)
        encoded = self.base.encoder(hidden_BFH, attention_mask=real_BF)
        return self.classifier(encoded.last_hidden_state)


def frame_loss(logits_BFV: Tensor, frames_BF: Tensor) -> Tensor:
    """Return the mean cross-entropy over the aligned frames; frames labelled −1 (padding) do not count."""
    return F.cross_entropy(logits_BFV.float().flatten(0, 1), frames_BF.flatten().long(), ignore_index=-1)


def ctc_loss(logits_BFV: Tensor, frames_B: Tensor, labels_BL: Tensor, lengths_B: Tensor) -> Tensor:
    """Return the CTC loss, with each utterance divided by its number of labels."""
    log_probabilities_FBV = logits_BFV.float().log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probabilities_FBV, labels_BL, frames_B, lengths_B, blank=0, zero_infinity=True)
