"""Padding: what attention is given of it, and a norm that keeps its result."""

import pytest
import torch
from torch.nn import functional

from mms_dist.model.folded_adapter import PlainNorm
from mms_dist.model.padded_frames import PaddedFrames


@pytest.mark.parametrize("longest", [7, 8, 21])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attentions_mask_is_what_torch_would_make_of_it(longest: int, dtype: torch.dtype) -> None:
    frames_B = torch.tensor([longest, 3, 5])
    padded = PaddedFrames.of(frames_B, longest, is_full=False, dtype=dtype)
    assert padded.attend is not None and padded.attend.dtype == dtype
    query = torch.randn(3, 2, longest, 8, dtype=dtype)
    ours, theirs = (
        functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
        for mask in (padded.attend, padded.valid_BT[:, None, None, :])
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("longest", [7, 8, 21])
def test_attentions_mask_is_aligned_so_that_no_layer_copies_it(longest: int) -> None:
    attend = PaddedFrames.of(torch.tensor([longest, 3]), longest, is_full=False, dtype=torch.float32).attend
    assert attend is not None and attend.shape == (2, 1, 1, longest)
    assert attend.stride(-1) == 1 and all(stride % 8 == 0 for stride in attend.stride()[:-1])
    assert not attend.is_contiguous(), "compiled layers are the same for every length"


def test_without_padding_there_is_no_mask() -> None:
    assert PaddedFrames.of(torch.tensor([4, 4]), 4, is_full=True, dtype=torch.float32).attend is None


def test_bfloat16_gradients_of_many_utterances_are_summed_in_float32() -> None:
    """300 ones: added one by one in bfloat16 they would be 256."""
    frames = PaddedFrames.of(torch.full((300,), 4), 4, is_full=True, dtype=torch.bfloat16)
    for shape in ((2, 3, 8, 16), (2, 3, 1, 8), (2, 1, 40)):
        parts_U = torch.zeros(shape, dtype=torch.bfloat16, requires_grad=True)
        frames.gather(parts_U, torch.ones(300, dtype=torch.int64)).sum().backward()
        assert parts_U.grad is not None and (parts_U.grad[0] == 0).all() and (parts_U.grad[1] == 300).all()


def test_the_plain_norm_has_the_gradient_of_torchs_layer_norm() -> None:
    hidden = (3 + 2 * torch.randn(4, 6, 16, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(16, dtype=torch.float64)
    gradients = []
    for norm in (PlainNorm(), lambda values: functional.layer_norm(values, (16,))):
        ((norm(hidden) * weight) ** 3).sum().backward()
        gradients.append(hidden.grad)
        hidden.grad = None
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-10, atol=1e-10)
    assert torch.autograd.gradcheck(PlainNorm(), (hidden,))
