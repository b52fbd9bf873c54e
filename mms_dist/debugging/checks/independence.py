"""I1 to I3: languages do not affect each other. Each check compares a round of the user's data.

I1 compares gradients here; the full invariant compares adapters after 200 steps. Gradients of rounds with other
languages are not bit-identical, because the matrices have other shapes, so their distance is compared with the rounding
error of the data type.

Legend: B utterances of a forward pass, S slots, R row length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.debugging.bench import Bench, relative_distance
from mms_dist.debugging.debug_report import NOT_RUN, Check, needs_two_languages, verdict
from mms_dist.features.feature_source import FeaturePlan, FeatureSource
from mms_dist.features.packed_features import PackedFeaturePlan
from mms_dist.model.routed import RoutedModel

BOUNDS = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest relative distance of gradients that differ only by rounding."""
FACTOR = 1e6
REPEATS = 3
WEIGHT_DECAY = 0.1


def same_alone_and_together(bench: Bench) -> Check:
    """Compare one round of each language alone with one round of all languages together."""
    claim = "a language's gradient is the same alone and with the others"
    if len(bench.languages) < 2:
        return needs_two_languages("I1", claim)
    through = bench.gradient_pass(bench.exact_model)
    _, joint_SR = bench.gradients(bench.batches.values(), through)
    distances = {}
    for language, active in bench.active_languages.items():
        _, alone_SR = bench.gradients([bench.batches[language]], through)
        distances[language] = relative_distance(joint_SR[active.slot], alone_SR[active.slot])
    worst = max(distances, key=lambda language: distances[language])
    bound, dtype = bound_of(bench.exact_model), str(bench.exact_model.base.dtype).removeprefix("torch.")
    measured = f"distance {distances[worst]:.0e} ≤ {bound:.0e} in {dtype} (largest: {worst})"
    return verdict("I1", claim, distances[worst] <= bound, measured)


def nan_does_not_spread(bench: Bench) -> Check:
    """Put NaN in the last language's features: the other gradients must not change, and it must not be stepped."""
    claim = "NaN in one language leaves the others bit-identical"
    if len(bench.languages) < 2:
        return needs_two_languages("I2", claim)
    *others, sick = bench.languages
    batches = list(bench.batches.values())
    source = FeatureSource(bench.components.base, cache_gib=0.0)
    _, clean_SR = bench.gradients(batches, bench.gradient_pass(features=source))
    _, again_SR = bench.gradients(batches, bench.gradient_pass(features=source))
    _, poisoned_SR = bench.gradients(batches, bench.gradient_pass(features=PoisonedFeatures(source, sick)))
    if not poisoned_SR[bench.active_languages[sick].slot].isnan().any():
        return verdict("I2", claim, False, f"the NaN in the features of {sick} did not reach its own gradient")
    slots = [bench.active_languages[language].slot for language in others]
    same, measured = same_bits(clean_SR[slots], again_SR[slots], poisoned_SR[slots])
    with bench.restored_afterwards():
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
        with bench.restored_afterwards():
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
    through = bench.gradient_pass(bench.exact_model)
    losses, grads_SR = bench.gradients(bench.batches.values(), through)
    more_losses, more_SR = bench.gradients(more.values(), through)
    bound = bound_of(bench.exact_model)
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


def absent_language_is_unchanged(bench: Bench) -> Check:
    """Step all languages but the last, with weight decay, while the absent one has momentum and a gradient."""
    claim = "a language absent from a step does not change, not even by weight decay"
    if len(bench.languages) < 2:
        return needs_two_languages("I3", claim)
    *present, absent = bench.languages
    _, grads_SR = bench.gradients(bench.batches.values())
    with bench.restored_afterwards():
        bench.step([absent], grads_SR)  # so that it has momentum
        before, clock = bench.state(absent), bench.active_languages[absent].progress.to_state()
        states = [bench.state(language) for language in present]
        bench.step(present, grads_SR, weight_decay=WEIGHT_DECAY)
        same = torch.equal(before, bench.state(absent)) and clock == bench.active_languages[absent].progress.to_state()
        unchanged = [c for c, state in zip(present, states, strict=True) if torch.equal(state, bench.state(c))]
    if unchanged:
        return verdict("I3", claim, False, f"{unchanged[0]} took part but did not change")
    measured = f"{absent} absent: compared weights, moments and step count; {len(present)} others changed"
    return verdict("I3", claim, same, measured)


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


def bound_of(model: RoutedModel) -> float:
    """Return the largest relative distance of gradients that differ only by rounding in the model's data type."""
    return BOUNDS[model.base.dtype]
