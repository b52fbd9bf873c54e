"""Transcripts and their label ids, there and back."""

from mms_dist.data.batch import Utterance
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.report import Check, TranscriptLine, verdict
from shards.schema import required_frames
from shards.vocabulary import BLANK, UNKNOWN, Vocabulary


def transcript_lines(bench: Bench) -> list[TranscriptLine]:
    """Every utterance of the bench's batches."""
    return [
        _line(utterance, bench.active_languages[utterance.language].vocabulary)
        for batch in bench.batches.values()
        for utterance in batch.utterances
    ]


def labels_round_trip(lines: list[TranscriptLine]) -> Check:
    """The ids, with the blanks that CTC puts between repeats, decode to the transcript, and none is unknown."""
    wrong = [line for line in lines if line.decoded != line.text or line.unknown]
    measured = f"{len(lines)} transcripts, {sum(len(line.ids) for line in lines)} labels"
    if wrong:
        measured = f"{len(wrong)} of {measured} do not, first {wrong[0].language} {wrong[0].key} (row {wrong[0].row})"
    return verdict("text", "labels: every transcript decodes back from its ids", not wrong, measured)


def frames_suffice(bench: Bench) -> Check:
    """CTC needs a frame for each label and a blank between equal neighbours."""
    tight, spare = [], []
    for utterance in bench.utterances():
        spare.append(utterance.frames / max(1, required_frames(utterance.labels.tolist())))
        if spare[-1] < 1:
            tight.append(utterance)
    measured = f"at least {min(spare):.1f} frames a label"
    if tight:
        measured = f"{len(tight)} have too few, first {tight[0].language} {tight[0].key} (row {tight[0].id.row})"
    return verdict("text", "labels: every utterance has frames enough for them", not tight, measured)


def _line(utterance: Utterance, vocabulary: Vocabulary) -> TranscriptLine:
    ids = utterance.labels.tolist()
    path = [number for label in ids for number in (label, BLANK)]
    return TranscriptLine(
        language=utterance.language,
        key=utterance.key,
        row=utterance.id.row,
        text=utterance.text,
        ids=ids,
        decoded=vocabulary.decode(path),
        unknown=ids.count(UNKNOWN),
    )
