"""Sanity checks: labels fit their utterances, training takes its steps, and every tensor gets a gradient."""

from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import Check, GradientLine, TranscriptLine, verdict
from mms_dist.run_directory.quarantine import read_mark
from mms_dist.training.trial import Trial
from shards.schema import required_frames
from shards.wording import counted


def every_language_trains(trial: Trial) -> Check:
    """Run the loop to its end, and check that every language took every step and that its checkpoint is readable."""
    claim = "train: every language takes its steps, is evaluated, saved and read back"
    steps = trial.components.loop.lifecycle.save_every_rounds
    store, languages = trial.store, trial.index.languages
    trial.components.loop.run()
    store.drain()
    problems = []
    for language in languages:
        snapshot = store.load(language)
        if snapshot.step != steps:
            mark = read_mark(store.directory, language)
            reason = f"it was quarantined: {mark.reason}" if mark else "not every batch could be read"
            problems.append(f"the last good checkpoint of {language} is at step {snapshot.step} of {steps}: {reason}")
    problems += [str(damage) for damage in store.damaged]
    measured = "; ".join(problems) or f"{counted(len(languages), 'language')}, {counted(steps, 'round')}"
    return verdict("loop", claim, not problems, measured)


def labels_round_trip(lines: list[TranscriptLine]) -> Check:
    """Check that the ids, with a CTC blank after each, decode to the transcript, and that no id is unknown."""
    wrong = [line for line in lines if line.decoded != line.text or line.unknown]
    measured = f"{len(lines)} transcripts, {sum(len(line.ids) for line in lines)} labels"
    if wrong:
        measured = f"{len(wrong)} of {measured} do not; first: {wrong[0].language} {wrong[0].key} (row {wrong[0].row})"
    return verdict("text", "labels: every transcript decodes back from its ids", not wrong, measured)


def frames_suffice(bench: Bench) -> Check:
    """Check that there are enough frames: CTC needs one per label, and a blank between equal labels."""
    too_short, ratios = [], []
    for utterance in bench.utterances():
        ratios.append(utterance.frames / max(1, required_frames(utterance.labels.tolist())))
        if ratios[-1] < 1:
            too_short.append(utterance)
    measured = f"at least {min(ratios):.1f} times the frames needed"
    if too_short:
        first = too_short[0]
        measured = f"{len(too_short)} have too few; first: {first.language} {first.key} (row {first.id.row})"
    return verdict("text", "labels: every utterance has enough frames for its labels", not too_short, measured)


def every_tensor_has_a_gradient(lines: list[GradientLine]) -> Check:
    """Check that every tensor of every language gets a gradient: one without would never be trained."""
    zero = [f"{line.language}: {name}" for line in lines for name in line.zero]
    measured = f"{sum(line.tensors for line in lines)} tensors"
    if zero:
        measured = f"{len(zero)} of {measured} have none, first {zero[0]}"
    return verdict("grad", "gradient: every tensor of every language has one", not zero, measured)
