"""Runs on ranks with owners of a test's choosing, and what they did: the bodies that forked ranks run."""

import os
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from launcher import cli
from mms_dist.distributed.placement import Block
from mms_dist.training.assembly import Parts
from mms_dist.training.roster import Candidate, Ranks
from mms_dist.training.seating import Seating
from tests.distributed.worker import Notes, train

Placing = Callable[[Ranks, Sequence[Candidate]], dict[str, Block]]


def train_with_owners(notes: Notes) -> int:
    """Train with every language owned by ranks `notes["block"]` = (first, size)."""

    def place(ranks: Ranks, active: Any) -> dict[str, Block]:
        return {candidate.language: Block(*notes["block"]) for candidate in active}

    return _train_placed(notes, place)


def train_hopping(notes: Notes) -> int:
    """Train with one owner a language, another one after every round."""
    world = int(os.environ["WORLD_SIZE"])
    rounds = [0]
    settle = Seating.settle

    def place(ranks: Ranks, active: Any) -> dict[str, Block]:
        return {
            candidate.language: Block((rounds[0] + number) % world, 1)
            for number, candidate in enumerate(sorted(active, key=lambda candidate: candidate.language))
        }

    def settle_and_hop(seating: Seating, ended: Any, round_number: int) -> Any:
        came = settle(seating, ended, round_number)
        if not came[0]:
            rounds[0] += 1
            before = seating.roster.placement
            seating.roster.place()
            seating._follow(before)
            notes.setdefault("owned", []).append(sorted(seating.trainees))
        return came

    with mock.patch.object(Seating, "settle", settle_and_hop):
        return _train_placed(notes, place)


def _train_placed(notes: Notes, place: Placing) -> int:
    with mock.patch.object(Ranks, "place", place):
        return train(notes) if notes.get("watch") else cli.main(["train", "--config", notes["config"]])


def note_rounds(parts: Parts, notes: Notes) -> None:
    """A `Watch`: the owners of every language in every round, what this rank reads of whom, and its traffic."""
    loop = parts.loop
    notes.setdefault("placements", {})[loop.round + 1] = {
        language: (block.first, block.size) for language, block in loop.roster.placement.items()
    }
    reads = notes.setdefault("reads", {}).setdefault(loop.round + 1, {})
    for trainee in loop.seating.in_order():
        items = trainee.share.take(trainee.stream.at(trainee.position))
        keys = [str(trainee.stream.table.keys[item]) for item in items]
        reads[trainee.language] = (trainee.position.epoch, trainee.position.batch, keys)
    notes.setdefault("traffic", {})[loop.round + 1] = vars(loop.comm.traffic).copy()
    notes["rows"] = {t.language: parts.bank.row_size(t.slot) for t in loop.seating.in_order()}
    if "rounds" in notes:
        first = notes.setdefault("first", loop.round)
        loop.stop_requested = lambda: loop.round >= first + notes["rounds"]
