"""The vectorised optimizer is AdamW per language, and nothing more than that language's own."""

import itertools
from dataclasses import replace

import pytest
import torch

from mms_dist.config import Optim
from mms_dist.model import optimizer as module
from mms_dist.model.adapter import RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.optimizer import RowAdamW, RowStep, learning_rate

LAYOUT = RowLayout(layers=2, hidden=8, dim=4)
SIZES = [7, 11, 5]
OPTIMS = [
    Optim(lr=1e-2, warmup_steps=3, steps=20, weight_decay=0.1, clip_norm=0.5),
    Optim(lr=3e-3, betas=(0.8, 0.99), eps=1e-6, warmup_steps=0, decay="constant", clip_norm=0.0),
    Optim(lr=5e-2, warmup_steps=5, steps=12, weight_decay=0.01, clip_norm=100.0),
]


def new_bank(dtype: torch.dtype = torch.float64) -> tuple[AdapterBank, RowAdamW]:
    bank = AdapterBank(LAYOUT, slots=4, largest_vocabulary=max(SIZES), dtype=dtype)
    for slot, size in enumerate(SIZES):
        bank.load(slot, initial_tensors(LAYOUT, size, scheme="mms", seed=0, language=f"l{slot}"))
    return bank, RowAdamW(bank)


def gradient(slot: int, step: int, bank: AdapterBank) -> torch.Tensor:
    random = torch.Generator().manual_seed(100 * slot + step)
    return torch.randn(bank.row_size(slot), generator=random, dtype=torch.float64).to(bank.grads)


def take_step(bank: AdapterBank, adamw: RowAdamW, step: int, slots: list[int]) -> list[module.Outcome]:
    for slot in slots:
        bank.grads[slot, : bank.row_size(slot)] = gradient(slot, step, bank)
    return adamw.step([RowStep(slot, step, OPTIMS[slot]) for slot in slots])


def test_a_row_equals_torch_adamw_with_its_own_settings_and_step_count() -> None:
    bank, adamw = new_bank()
    parameters = [torch.nn.Parameter(bank.row(slot).clone()) for slot in range(3)]
    references = [
        torch.optim.AdamW([p], lr=1.0, betas=o.betas, eps=o.eps, weight_decay=o.weight_decay)
        for p, o in zip(parameters, OPTIMS, strict=True)
    ]
    clocks = [0, 0, 0]
    for turn in range(1, 13):
        present = [slot for slot in range(3) if (turn + slot) % 3]  # each language misses every third round
        for slot in present:
            clocks[slot] += 1
            parameters[slot].grad = gradient(slot, clocks[slot], bank)
            bank.grads[slot, : bank.row_size(slot)] = gradient(slot, clocks[slot], bank)
            norm = torch.nn.utils.clip_grad_norm_([parameters[slot]], OPTIMS[slot].clip_norm or float("inf"))
            references[slot].param_groups[0]["lr"] = learning_rate(clocks[slot], OPTIMS[slot])
            references[slot].step()
        outcomes = adamw.step([RowStep(slot, clocks[slot], OPTIMS[slot]) for slot in present])
        assert outcomes[-1].grad_norm == pytest.approx(float(norm), rel=1e-12)
    for slot, parameter in enumerate(parameters):
        torch.testing.assert_close(bank.row(slot), parameter.detach(), rtol=0, atol=1e-6)  # clip_grad adds 1e-6
        moments = references[slot].state[parameter]
        own = adamw.moments(slot)
        torch.testing.assert_close(own["exp_avg"], moments["exp_avg"], rtol=1e-5, atol=1e-12)
        torch.testing.assert_close(own["exp_avg_sq"], moments["exp_avg_sq"], rtol=1e-5, atol=1e-12)


def test_without_clipping_a_row_equals_torch_adamw_to_rounding() -> None:
    bank, adamw = new_bank()
    optim = replace(OPTIMS[0], clip_norm=0.0)
    parameter = torch.nn.Parameter(bank.row(0).clone())
    reference = torch.optim.AdamW([parameter], betas=optim.betas, eps=optim.eps, weight_decay=optim.weight_decay)
    for step in range(1, 20):
        parameter.grad = gradient(0, step, bank)
        bank.grads[0, : bank.row_size(0)] = parameter.grad
        reference.param_groups[0]["lr"] = learning_rate(step, optim)
        reference.step()
        adamw.step([RowStep(0, step, optim)])
    torch.testing.assert_close(bank.row(0), parameter.detach(), rtol=1e-13, atol=1e-14)


def test_an_absent_language_keeps_every_bit() -> None:
    bank, adamw = new_bank(torch.float32)
    take_step(bank, adamw, 1, [0, 1, 2])
    row, moments = bank.row(1).clone(), adamw.moments(1)
    take_step(bank, adamw, 2, [0, 2])
    assert torch.equal(bank.row(1), row)
    assert all(torch.equal(adamw.moments(1)[name], moments[name]) for name in moments)


@pytest.mark.parametrize("company", [[0, 1, 2], [1, 2], [1]])
def test_a_rows_bits_do_not_depend_on_the_rows_beside_it(company: list[int]) -> None:
    bank, adamw = new_bank(torch.float32)
    alone_bank, alone = new_bank(torch.float32)
    for step in range(1, 6):
        take_step(bank, adamw, step, company)
        take_step(alone_bank, alone, step, [1])
    assert torch.equal(bank.row(1), alone_bank.row(1))


def test_a_huge_gradient_does_not_change_the_clipping_of_another_language() -> None:
    bank, adamw = new_bank(torch.float32)
    loud_bank, loud = new_bank(torch.float32)
    for slot in (0, 1):
        bank.grads[slot, : bank.row_size(slot)] = gradient(slot, 1, bank)
        loud_bank.grads[slot, : bank.row_size(slot)] = gradient(slot, 1, bank) * (1e6 if slot else 1)
    steps = [RowStep(slot, 1, OPTIMS[0]) for slot in (0, 1)]
    quiet_outcome, loud_outcome = adamw.step(steps), loud.step(steps)
    assert torch.equal(bank.row(0), loud_bank.row(0))
    assert quiet_outcome[0] == loud_outcome[0]


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_row_with_nan_or_inf_keeps_every_bit_and_the_others_go_on(poison: float) -> None:
    bank, adamw = new_bank(torch.float32)
    clean_bank, clean = new_bank(torch.float32)
    row = bank.row(1).clone()
    for slot in range(3):
        for each in (bank, clean_bank):
            each.grads[slot, : each.row_size(slot)] = gradient(slot, 1, each)
    bank.grads[1, 5] = poison
    steps = [RowStep(slot, 1, OPTIMS[slot]) for slot in range(3)]
    outcomes = adamw.step(steps)
    clean.step(steps)
    assert [outcome.stepped for outcome in outcomes] == [True, False, True]
    assert torch.equal(bank.row(1), row) and (adamw.moments(1)["exp_avg"] == 0).all()
    assert torch.equal(bank.row(0), clean_bank.row(0)) and torch.equal(bank.row(2), clean_bank.row(2))
    assert (bank.grads == 0).all()


def test_company_that_does_not_commit_is_left_as_it_is() -> None:
    bank, adamw = new_bank(torch.float32)
    row = bank.row(0).clone()
    for slot in (0, 1):
        bank.grads[slot, : bank.row_size(slot)] = gradient(slot, 1, bank)
    outcomes = adamw.step([RowStep(0, 1, OPTIMS[0], commit=False), RowStep(1, 1, OPTIMS[1])])
    assert [outcome.stepped for outcome in outcomes] == [False, True]
    assert torch.equal(bank.row(0), row) and (bank.grads == 0).all()


def test_what_is_taken_out_of_a_slot_does_not_change_when_the_slot_does() -> None:
    """It goes to the disk while training goes on."""
    bank, adamw = new_bank(torch.float32)
    take_step(bank, adamw, 1, [0])
    taken = bank.tensors(0) | adamw.moments(0)
    before = {name: tensor.clone() for name, tensor in taken.items()}
    take_step(bank, adamw, 2, [0])
    assert all(taken[name].equal(tensor) for name, tensor in before.items())
    assert not any(tensor.equal(before[name]) for name, tensor in (bank.tensors(0) | adamw.moments(0)).items())


def test_a_slot_keeps_no_moment_of_the_language_that_had_it() -> None:
    bank, adamw = new_bank(torch.float32)
    take_step(bank, adamw, 1, [0, 1])
    shorter = adamw.moments(0)
    for moments in (shorter, None):
        adamw.load(1, moments)
        for name, buffer in (("exp_avg", adamw.buffers["exp_avg"]), ("exp_avg_sq", adamw.buffers["exp_avg_sq"])):
            size = moments[name].numel() if moments else 0
            assert moments is None or buffer[1, :size].equal(moments[name])
            assert (buffer[1, size:] == 0).all()


def test_the_rate_warms_up_decays_and_still_moves_in_the_last_step() -> None:
    optim = Optim(lr=1.0, warmup_steps=4, steps=10)
    rates = [learning_rate(step, optim) for step in range(1, 11)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0 and rates[-1] == pytest.approx(1 / 6)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[4:]))
    assert learning_rate(10_000, Optim(lr=1.0, decay="constant")) == 1.0
    assert learning_rate(0, Optim(warmup_steps=0)) == 0.0, "of a language that is quarantined in its first step"


def test_a_row_that_only_keeps_company_is_measured_and_left_as_it_is() -> None:
    bank, adamw = new_bank()
    before = [tensor.detach().clone() for tensor in (bank.rows, *adamw.buffers.values())]
    bank.grads[0, : bank.row_size(0)] = gradient(0, 1, bank)
    norm = float(bank.grads[0].norm())
    (outcome,) = adamw.step([RowStep(0, 1, OPTIMS[0], commit=False)])
    assert outcome.stepped is False and outcome.grad_norm == pytest.approx(norm)
    after = (bank.rows, *adamw.buffers.values())
    assert all(new.equal(old) for new, old in zip(after, before, strict=True))
    assert not bank.grads.any(), "nothing is left for its next round"
