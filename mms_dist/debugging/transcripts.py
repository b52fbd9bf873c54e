"""Encode transcripts to label ids and decode them back."""

from mms_dist.data.batch import Utterance
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import Check, TranscriptLine, verdict
from shards.schema import required_frames
from shards.vocabulary import BLANK, UNKNOWN, Vocabulary


def transcript_lines(bench: Bench) -> list[TranscriptLine]:
    """Return a line for every utterance of the bench's batches."""
    return [
        _line(utterance, bench.active_languages[utterance.language].vocabulary)
        for batch in bench.batches.values()
        for utterance in batch.utterances
    ]


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
