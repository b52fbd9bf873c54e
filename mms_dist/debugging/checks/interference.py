"""I2: what goes wrong in one language leaves the others bit for bit as they were.

Legend: B utterances of a forward pass, S slots, R row length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.debugging.bench import Bench, relative_distance
from mms_dist.debugging.checks.company import bound_of
from mms_dist.debugging.report import NOT_RUN, Check, needs_two_languages, verdict
from mms_dist.training.features import FeaturePlan, FeatureSource
from mms_dist.training.packed_features import PackedFeaturePlan

FACTOR = 1e6
REPEATS = 3


class PoisonedFeatures(FeatureSource):
    """Gives NaN for every frame of one language."""

    def __init__(self, clean: FeatureSource, language: str) -> None:
        self._clean = clean
        self._language = language

    def plan(self, members: Sequence[Utterance]) -> FeaturePlan:
        return self._clean.plan(members)

    def on_device(self, plan: FeaturePlan, tensors: Mapping[str, Tensor]) -> Tensor:
        features_BTC = self._clean.on_device(plan, tensors).clone()
        for place, member in enumerate(plan.members):
            if member.language == self._language:
                features_BTC[place] = float("nan")
        return features_BTC

    def plan_packed(self, members: Sequence[Utterance], places: int) -> PackedFeaturePlan:
        return self._clean.plan_packed(members, places)

    def packed_on_device(self, plan: PackedFeaturePlan, tensors: Mapping[str, Tensor]) -> Tensor:
        features_FC = self._clean.packed_on_device(plan, tensors).clone()
        for place, (first, frames) in enumerate(zip(plan.first_B.tolist(), plan.frames_B.tolist(), strict=True)):
            if plan.members[place].language == self._language:
                features_FC[first : first + frames] = float("nan")
        return features_FC


def nan_stays_home(bench: Bench) -> Check:
    """NaN in the last language's audio: the others' gradients, losses and steps are the same, and it is not stepped."""
    claim = "NaN in one language leaves the others bit-identical"
    if len(bench.languages) < 2:
        return needs_two_languages("I2", claim)
    *others, sick = bench.languages
    batches = list(bench.batches.values())
    source = FeatureSource(bench.parts.base, cache_gib=0.0)
    _, clean_SR = bench.gradients(batches, bench.gradient_pass(features=source))
    _, again_SR = bench.gradients(batches, bench.gradient_pass(features=source))
    _, poisoned_SR = bench.gradients(batches, bench.gradient_pass(features=PoisonedFeatures(source, sick)))
    if not poisoned_SR[bench.active_languages[sick].slot].isnan().any():
        return verdict("I2", claim, False, f"the NaN fed to {sick} did not reach its own gradient")
    slots = [bench.active_languages[language].slot for language in others]
    same, measured = same_bits(clean_SR[slots], again_SR[slots], poisoned_SR[slots])
    with bench.kept():
        before = bench.state(sick)
        outcomes = bench.step(bench.languages, poisoned_SR)
        untouched = torch.equal(before, bench.state(sick)) and not outcomes[sick].stepped
    if not untouched:
        return verdict("I2", claim, False, f"{sick} was stepped by a gradient of NaN")
    passes = [group for group in bench.forward_groups() if any(member.language == sick for member in group)]
    shared = sum(any(member.language != sick for member in group) for group in passes)
    if same and not shared:
        return Check("I2", claim, NOT_RUN, f"the audio of {sick} is too unlike the others' in length to share a pass")
    where = f"NaN in {sick}, {shared} of {len(passes)} forward passes shared with others"
    return verdict("I2", claim, same, f"{where}: {measured}; {sick} kept its weights")


def same_bits(expected: Tensor, again: Tensor, found: Tensor) -> tuple[bool, str]:
    """Whether `found` is `expected`, where a device repeats itself; `again` is a second run of the same.

    Some CUDA kernels (the backward pass of CTC) add in an order that changes from run to run. There no two passes
    have the same bits, and what can be told is that the difference is of that size.
    """
    if torch.equal(expected, again):
        return torch.equal(expected, found), "same bits"
    noise, distance = relative_distance(again, expected), relative_distance(found, expected)
    return (
        distance <= 10 * noise,
        f"distance {distance:.0e}; the device does not repeat itself to {noise:.0e}, held to 10 times that",
    )


def clipping_is_ones_own(bench: Bench) -> Check:
    """A gradient a million times as large in the last language changes no bit of the others' steps."""
    claim = "a 1e6 times larger gradient in one leaves the others' clipping as it was"
    if len(bench.languages) < 2:
        return needs_two_languages("I2", claim)
    *others, loud = bench.languages
    _, grads_SR = bench.gradients(bench.batches.values())
    louder_SR = grads_SR.clone()
    louder_SR[bench.active_languages[loud].slot] *= FACTOR
    stepped = []
    for each in (grads_SR, louder_SR):
        with bench.kept():
            outcomes = bench.step(bench.languages, each, clip_norm=1.0)
            stepped.append([bench.state(language) for language in others])
    same = all(torch.equal(*pair) for pair in zip(*stepped, strict=True))
    return verdict("I2", claim, same, f"norm of {loud} {outcomes[loud].grad_norm:.2g}, clip at 1; same bits")


def frames_do_not_weigh(bench: Bench) -> Check:
    """Three times the audio in the last language leaves the others' losses and gradients as large as they were."""
    claim = "three times the audio in one scales no loss of the others"
    if len(bench.languages) < 2:
        return needs_two_languages("I2", claim)
    *others, long = bench.languages
    more = dict(bench.batches)
    more[long] = replace(more[long], utterances=more[long].utterances * REPEATS)
    through = bench.gradient_pass(bench.exact)
    losses, grads_SR = bench.gradients(bench.batches.values(), through)
    more_losses, more_SR = bench.gradients(more.values(), through)
    bound = bound_of(bench.exact)
    worst = max(
        max(
            abs(more_losses.losses[language] / losses.losses[language] - 1),
            relative_distance(
                more_SR[bench.active_languages[language].slot], grads_SR[bench.active_languages[language].slot]
            ),
        )
        for language in others
    )
    return verdict("I2", claim, worst <= bound, f"the others' losses and gradients move by {worst:.0e} ≤ {bound:.0e}")
