"""I2: a problem in one language does not change the others by a bit.

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
from mms_dist.features.feature_source import FeaturePlan, FeatureSource
from mms_dist.features.packed_features import PackedFeaturePlan

FACTOR = 1e6
REPEATS = 3


class PoisonedFeatures(FeatureSource):
    """Returns NaN for every frame of one language."""

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


def nan_does_not_spread(bench: Bench) -> Check:
    """Put NaN in the last language's features: the other gradients must not change, and it must not be stepped."""
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
        return verdict("I2", claim, False, f"the NaN in the features of {sick} did not reach its own gradient")
    slots = [bench.active_languages[language].slot for language in others]
    same, measured = same_bits(clean_SR[slots], again_SR[slots], poisoned_SR[slots])
    with bench.kept():
        before = bench.state(sick)
        outcomes = bench.step(bench.languages, poisoned_SR)
        untouched = torch.equal(before, bench.state(sick)) and not outcomes[sick].stepped
    if not untouched:
        return verdict("I2", claim, False, f"{sick} was stepped with a NaN gradient")
    passes = [group for group in bench.forward_groups() if any(member.language == sick for member in group)]
    shared = sum(any(member.language != sick for member in group) for group in passes)
    if same and not shared:
        measured = f"{sick} shares no forward pass with others: its utterances differ too much in length"
        return Check("I2", claim, NOT_RUN, measured)
    where = f"NaN in {sick}, {shared} of {len(passes)} forward passes shared with others"
    return verdict("I2", claim, same, f"{where}: {measured}; {sick} kept its weights")


def same_bits(expected: Tensor, again: Tensor, found: Tensor) -> tuple[bool, str]:
    """Whether `found` equals `expected`; `again` is a second run of `expected`, to test if the device is deterministic.

    Some CUDA kernels (the backward pass of CTC) add in an order that changes from run to run, so no two passes have
    the same bits. The check then only requires that the difference is of the size of that noise.
    """
    if torch.equal(expected, again):
        return torch.equal(expected, found), "same bits"
    noise, distance = relative_distance(again, expected), relative_distance(found, expected)
    return (
        distance <= 10 * noise,
        f"distance {distance:.0e}; the device is not deterministic, two equal runs differ by {noise:.0e} (limit: 10x)",
    )


def clipping_is_per_language(bench: Bench) -> Check:
    """Make the last language's gradient a million times larger: the steps of the others must not change by a bit."""
    claim = "a 1e6 times larger gradient in one language does not change the clipping of others"
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
    return verdict("I2", claim, same, f"gradient norm of {loud}: {outcomes[loud].grad_norm:.2g}, clipped at 1")


def audio_length_does_not_weigh(bench: Bench) -> Check:
    """Give the last language three times the audio: the losses and gradients of the others must not scale."""
    claim = "three times the audio in one language does not scale the losses of others"
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
    return verdict("I2", claim, worst <= bound, f"losses and gradients of others change by {worst:.0e} ≤ {bound:.0e}")
