"""Choose and read the utterances to debug."""

from collections.abc import Iterable, Sequence

import numpy as np

from mms_dist.data.batch import Utterance
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import DataError
from mms_dist.training.active_language import ActiveLanguage
from shards.errors import DamagedSampleError
from shards.index import SampleTable
from shards.read import ShardReader

LEAST_LABELS = 6
_QUANTILES = (0.1, 0.7)


def similar_lengths(tables: Sequence[SampleTable], count: int) -> np.ndarray:
    """Return target durations for every language, in seconds, so that their utterances share forward passes.

    The targets are spread over the utterance lengths of all languages, without the longest.
    """
    everything = np.concatenate([table.durations for table in tables])
    share = np.linspace(*_QUANTILES, count) if count > 1 else np.array([0.5])
    return np.quantile(everything, share)


def nearest_first(table: SampleTable, seconds: float) -> list[int]:
    """Return places in the table, the nearest in duration first."""
    return [int(place) for place in np.argsort(np.abs(table.durations - seconds), kind="stable")]


def shortest_first(table: SampleTable) -> list[int]:
    """Return places in the table by duration; utterances with very few labels come last."""
    return [int(place) for place in np.lexsort((table.samples, table.label_length < LEAST_LABELS))]


def take_by_length(reader: ShardReader, active: ActiveLanguage, seconds: Iterable[float]) -> list[Utterance]:
    """Read the nearest unused utterance for each duration; fewer if the language has no more."""
    table = active.stream.table
    taken: list[Utterance] = []
    for target in seconds:
        rows = {utterance.id.row for utterance in taken}
        places = (place for place in nearest_first(table, target) if int(table.rows[place]) not in rows)
        taken += take(reader, active, places, count=1) if len(taken) < len(table) else []
    return taken


def take(reader: ShardReader, active: ActiveLanguage, places: Iterable[int], *, count: int) -> list[Utterance]:
    """Read the first `count` readable utterances among these places in the language's table.

    Raises:
        DataError: no utterance can be read.
    """
    table, damage = active.stream.table, None
    taken: list[Utterance] = []
    for place in places:
        utterance = UtteranceId(active.language, "train", int(table.rows[place]))
        try:
            raw = reader.read(utterance.language, utterance.split, utterance.row)
        except DamagedSampleError as error:
            damage = error
            continue
        labels = np.array(active.vocabulary.encode(raw.text), dtype=np.int32)
        frames = int(table.frames[place])
        taken.append(
            Utterance(id=utterance, key=raw.key, epoch=0, audio=raw.audio, labels=labels, text=raw.text, frames=frames)
        )
        if len(taken) == count:
            break
    if not taken:
        why = f": {damage.found}" if damage is not None else ""
        raise DataError(f"no training utterance of {active.language} can be read{why}", fix="rebuild its shards")
    return taken
