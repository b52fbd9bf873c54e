"""How a GPU computes: one function says it for everything that computes with a base.

`FrozenBase.load` calls it, so training, evaluation, debugging and transcription cannot differ. Every setting belongs to
CUDA's libraries and is harmless where torch is built without them.
"""

import contextlib
import warnings
from typing import Any

import torch


def set_cuda_arithmetic() -> None:
    """Float32 is float32, sums are in float32, kernels repeat themselves, and none is planned anew for a new shape.

    * cuDNN attention is off. From CUDA 13 on it comes first on Hopper and Blackwell, and it plans for every new
      (batch, frames), for up to a second each; passes have nearly as many shapes as there are passes. The flash and
      memory-efficient kernels plan nothing.
    * cuDNN measures no algorithms (`benchmark`), which it would do for every new length of audio.
    * cuDNN uses kernels that repeat themselves bit for bit. The front end only runs forward, where all of its
      convolutions have such kernels. `torch.use_deterministic_algorithms` would refuse the CTC loss's backward pass.
    * TF32 is off in products and convolutions: it has 10 bits of mantissa, and torch has it on in convolutions.
    * A bfloat16 product that is split along its sum adds the parts in float32: how it is split depends on the shape,
      and so would an utterance's result.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    _forbid_tf32()


def _forbid_tf32() -> None:
    """With torch's older settings and its newer ones (`fp32_precision`, from 2.9 on).

    Both, so that whoever reads either finds the same: torch raises where they contradict each other (`allowTF32CuDNN`,
    `allowTF32CuBLAS` and `float32MatmulPrecision` of aten/src/ATen/Context.cpp). The older ones first, as they
    overwrite the newer; a torch that warns of them or no longer has them needs the newer alone.
    """
    with warnings.catch_warnings(), contextlib.suppress(AttributeError):
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    cudnn: Any = torch.backends.cudnn  # a module that torch replaces by an object with more in it
    cudnn.conv.fp32_precision = "ieee"
    cudnn.rnn.fp32_precision = "ieee"
