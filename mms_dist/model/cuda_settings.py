"""Set the GPU's arithmetic for everything that computes with a base.

`FrozenBase.load` calls this, so training, evaluation, debugging and transcription cannot differ. All settings belong to
CUDA's libraries and have no effect if torch is built without them.
"""

import contextlib
import warnings
from typing import Any

import torch


def set_cuda_arithmetic() -> None:
    """Use true float32, float32 sums and deterministic kernels, and no kernels that need planning for a new shape.

    * cuDNN attention is off. From CUDA 13 on, torch prefers it on Hopper and Blackwell, and it plans for every new
      (batch, frames), which takes up to a second; nearly every pass has a new shape. The flash and memory-efficient
      kernels need no planning.
    * cuDNN's `benchmark` is off: it would measure algorithms for every new length of audio.
    * cuDNN uses deterministic kernels. The front end only runs forward, and all of its convolutions have such kernels
      there. `torch.use_deterministic_algorithms` would reject the CTC loss's backward pass.
    * TF32 is off in products and convolutions: it has a 10-bit mantissa, and torch turns it on for convolutions.
    * A bfloat16 product that is split along its sum adds the parts in float32. The split depends on the shape, so an
      utterance's result would otherwise depend on it, too.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    _forbid_tf32()


def _forbid_tf32() -> None:
    """Turn TF32 off with torch's older settings and with its newer ones (`fp32_precision`, since 2.9).

    Both are set because torch raises if they contradict each other (`allowTF32CuDNN`, `allowTF32CuBLAS` and
    `float32MatmulPrecision` in aten/src/ATen/Context.cpp). The older ones come first because they overwrite the newer
    ones. A torch that deprecates or lacks the older settings only needs the newer ones.
    """
    with warnings.catch_warnings(), contextlib.suppress(AttributeError):
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    cudnn: Any = torch.backends.cudnn  # torch replaces this module with an object that has more attributes
    cudnn.conv.fp32_precision = "ieee"
    cudnn.rnn.fp32_precision = "ieee"
