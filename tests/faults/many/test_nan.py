"""NaN on one rank takes one language out everywhere, and touches no other."""

from pathlib import Path

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.training.components import RunComponents
from tests.distributed.ranks import train_ranks
from tests.distributed.worker import Notes
from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import LANGUAGES, WORLD, events, faulty, many_config, status
from tests.training import final_row

ROUND = 10


def note_placement(components: RunComponents, notes: Notes) -> None:
    """A `Watch`: which ranks own which language before the poisoned round."""
    if components.loop.round == ROUND - 1:
        placement = components.loop.scheduler.placement
        notes["placement"] = {language: list(block.ranks) for language, block in placement.items()}


def test_quarantine_reaches_every_rank_and_leaves_other_languages_the_same(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    """All languages at once, so that some are shared from the first round on.

    In the round of the NaN the others are computed beside the same languages as in the clean run, and have the same
    bits afterwards; from then on the shapes of the batches differ, and with them the last bits.
    """
    shared_rounds = {"slots": 3, "forward_seconds": 6.0}
    saved = {"every_rounds": ROUND, "keep": 20}
    clean = many_config(tmp_path / "clean", small_base, shards, rounds=shared_rounds, checkpoint=saved)
    poisoned = many_config(tmp_path / "poisoned", small_base, shards, rounds=shared_rounds, checkpoint=saved)
    ended = train_ranks(clean, WORLD, watch="tests.faults.many.test_nan:note_placement")
    placement = ended.notes[0]["placement"]
    shared = min(language for language, ranks in placement.items() if ranks == [0, 1])
    owned = min(language for language, ranks in placement.items() if ranks == [0])
    faults = [Fault(1, "forward", "nan", ROUND, language=shared), Fault(0, "forward", "nan", ROUND, language=owned)]
    with faulty(poisoned, faults, tmp_path / "record") as launch:
        result = launch.wait()
        assert result.code != 0, result.log
    left = [note.code for note in read_record(tmp_path / "record") if note.what == "exit"]
    assert left == [65, 65], "all ranks know"
    told = status(tmp_path / "poisoned")
    assert (told["state"], told["exit_code"], told["restart"]) == ("incomplete", 65, False)
    assert told["quarantined"] == sorted([shared, owned])
    out = [(event["language"], event["round"]) for event in events(tmp_path / "poisoned", "quarantined")]
    assert sorted(out) == sorted([(shared, ROUND), (owned, ROUND)])
    others = sorted(set(LANGUAGES) - {shared, owned})
    with (
        CheckpointStore(tmp_path / "clean" / "adapters", keep=20) as ours,
        CheckpointStore(tmp_path / "poisoned" / "adapters", keep=20) as theirs,
    ):
        for language in others:
            one, other = (store.load(language, step=ROUND).adapter for store in (ours, theirs))
            assert one.keys() == other.keys()
            assert all(one[key].equal(other[key]) for key in one), language
        for language in (shared, owned):
            assert max(theirs.steps(language)) < ROUND
    for language in others:
        one, other = final_row(tmp_path / "clean", language), final_row(tmp_path / "poisoned", language)
        assert float((one - other).norm() / one.norm()) < 1e-3
