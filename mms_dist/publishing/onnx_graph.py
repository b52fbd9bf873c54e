"""The base and one adapter as an ONNX graph from the waveform to logits, in the form that sherpa-onnx reads.

Of sherpa-onnx's CTC recognisers, the one for "omnilingual ASR" takes waveforms. It wants one input `x`, float32
[1, samples], and one output, float32 [1, frames, tokens], and no metadata; it takes the most likely token of each
frame, joins repeats and drops token 0, the blank. Its tokens.txt has a line `token id` for each id, and `▁` for the
space.

Legend: N samples, T frames, V tokens of the vocabulary.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mms_dist.errors import ConfigError
from mms_dist.model.waveform import VARIANCE_FLOOR
from shards.schema import SAMPLE_RATE
from shards.vocabulary import BLANK, SPACE, Vocabulary

OPSET = 18
_SPECIAL = SPACE
"""Ids below that of the space are the blank and tokens that no transcript has."""
_EXAMPLE_SECONDS = 2
MAX_BYTES_OF_ONE_FILE = 2**31
_SHRINKS = 2.0
"""int8 makes a file smaller by at least this: matrices to a quarter, and they are most of a model."""
_NAMES = {"<pad>": "<blk>", "|": "▁"}


def check_packages() -> None:
    """Check that the packages for ONNX files are installed.

    Raises:
        ConfigError: one is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ONNX files need the package {error.name!r}, which is not installed", fix="pip install 'mms-dist[onnx]'"
        ) from error


class WaveformToLogits(nn.Module):
    """Normalise a waveform as training does, apply the model, and make the most likely path the transcript."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        convolution = model.wav2vec2.encoder.pos_conv_embed.conv
        if nn.utils.parametrize.is_parametrized(convolution, "weight"):
            nn.utils.parametrize.remove_parametrizations(convolution, "weight")
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map samples [1, N] in [-1, 1) to logits [1, T, V] that any CTC decoder can read."""
        return decodable(self.logits(x))

    def logits(self, x: Tensor) -> Tensor:
        """Map samples [1, N] to the model's own logits [1, T, V]."""
        variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
        logits_1TV: Tensor = self.model((x - mean) / torch.sqrt(variance + VARIANCE_FLOOR)).logits
        return logits_1TV


def decodable(logits_1TV: Tensor) -> Tensor:
    """Change logits so that joining repeats of the most likely path and dropping blanks gives `Vocabulary.decode`.

    Special tokens, which it drops as it does the blank, leave their probability to the blank. A space wins only where
    it is the first after a letter and before another; else the blank does.
    """
    special_1T1 = logits_1TV[..., :_SPECIAL].amax(-1, keepdim=True)
    never_1T = torch.full_like(special_1T1, -1e4).expand(-1, -1, _SPECIAL - 1)
    letters_1T = logits_1TV[..., _SPECIAL:]
    logits_1TV = torch.cat([special_1T1, never_1T, letters_1T], dim=-1)
    label_T = logits_1TV[0].argmax(-1)
    is_space_T, is_letter_T = label_T == SPACE, label_T > SPACE
    after_space_T = torch.cat([torch.zeros_like(is_space_T[:1]), is_space_T[:-1]])
    # How many runs of spaces have ended, now and at the last letter; `letters_T` numbers the letters' frames.
    ended_T = (after_space_T & ~is_space_T).long().cumsum(0)
    letters_T = is_letter_T.long().cumsum(0)
    frames = letters_T.shape[0]
    place_T = torch.where(is_letter_T, letters_T, frames + 1)
    ended_at_letter = torch.zeros(frames + 2, dtype=torch.long).scatter(0, place_T, ended_T)
    repeated_T = ended_T > ended_at_letter.gather(0, letters_T)
    outside_T = (letters_T == 0) | (letters_T == letters_T[-1])
    is_dropped_T = is_space_T & (repeated_T | outside_T)
    winning_1T1 = torch.where(is_dropped_T[None, :, None], logits_1TV.amax(-1, keepdim=True) + 1, special_1T1)
    return torch.cat([winning_1T1, logits_1TV[..., BLANK + 1 :]], dim=-1)


def write_graph(model: Any, path: Path, metadata: Mapping[str, str]) -> WaveformToLogits:
    """Write an ONNX file of a float32 `Wav2Vec2ForCTC`, and return the module that it was made from.

    Weights of more than 2 GB go to a second file beside it.
    """
    module = WaveformToLogits(model.float()).eval()
    example = torch.randn(1, _EXAMPLE_SECONDS * SAMPLE_RATE)
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["x"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            dynamic_shapes={"x": {1: torch.export.Dim.DYNAMIC}},
        )
    assert program is not None
    # What the quantiser would add after shape inference, which the exporter has done.
    program.model.metadata_props.update(dict(metadata) | {"onnx.quant.pre_process": "onnxruntime.quant"})
    program.save(path)
    return module


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide what torch's exporter says of packages that it does not find, and warns of its own parts."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def write_quantised(path: Path, target: Path) -> None:
    """Write a copy of which the matrices are int8, one scale a column; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    quantize_dynamic(
        path,
        target,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=size / _SHRINKS > MAX_BYTES_OF_ONE_FILE,
    )


def tokens_text(vocabulary: Vocabulary) -> str:
    """Return the text of tokens.txt."""
    return "".join(f"{_NAMES.get(token, token)} {number}\n" for number, token in enumerate(vocabulary.tokens))
