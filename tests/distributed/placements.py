"""Runs on ranks with owners of a test's choosing, and what they did: the bodies that forked ranks run."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from launcher import cli
from mms_dist.distributed.placement import RankGroup
from mms_dist.training import report_collector
from mms_dist.training.components import RunComponents
from mms_dist.training.scheduler import QueuedLanguage, Ranks
from mms_dist.training.slot_manager import SlotManager
from tests.distributed.worker import Notes, train

Placing = Callable[[Ranks, Sequence[QueuedLanguage]], dict[str, RankGroup]]


def train_with_owners(notes: Notes) -> int:
    """Train with every language owned by ranks `notes["block"]` = (first, size), or by its own in `notes["blocks"]`."""
    own = notes.get("blocks", {})

    def place(ranks: Ranks, active: Any) -> dict[str, RankGroup]:
        return {c.language: RankGroup(*(own.get(c.language) or notes["block"])) for c in active}

    return _train_placed(notes, place)


def train_hopping(notes: Notes) -> int:
    """Train with one owner a language, another one after every round."""
    world = int(os.environ["WORLD_SIZE"])
    rounds = [0]
    update = SlotManager.update

    def place(ranks: Ranks, active: Any) -> dict[str, RankGroup]:
        return {
            queued.language: RankGroup((rounds[0] + number) % world, 1)
            for number, queued in enumerate(sorted(active, key=lambda queued: queued.language))
        }

    def update_and_hop(slot_manager: SlotManager, ended: Any, round_number: int) -> Any:
        came = update(slot_manager, ended, round_number)
        if not came[0]:
            rounds[0] += 1
            before = slot_manager.scheduler.placement
            slot_manager.scheduler.place()
            slot_manager._move_languages(before)
            notes.setdefault("owned", []).append(sorted(slot_manager.active_languages))
        return came

    with mock.patch.object(SlotManager, "update", update_and_hop):
        return _train_placed(notes, place)


def _train_placed(notes: Notes, place: Placing) -> int:
    with mock.patch.object(Ranks, "place", place):
        return train(notes) if notes.get("watch") else cli.main(["train", "--config", notes["config"]])


def note_rounds(components: RunComponents, notes: Notes) -> None:
    """A `Watch`: the owners of every language in every round, what this rank reads of whom, its traffic, and the blocks
    in which it sums gradients. With `notes["reports"]` False, none is ever due from the first round on."""
    loop = components.loop
    if not notes.get("reports", True):
        report_collector.EVERY_SECONDS = math.inf
    if "reduced" not in notes:
        _note_reductions(components, notes)
    notes.setdefault("placements", {})[loop.round + 1] = {
        language: (group.first, group.size) for language, group in loop.scheduler.placement.items()
    }
    reads = notes.setdefault("reads", {}).setdefault(loop.round + 1, {})
    for active in loop.slot_manager.in_order():
        items = active.share.take(active.stream.at(active.position))
        keys = [str(active.stream.table.keys[item % len(active.stream.table)]) for item in items]
        reads[active.language] = (active.position.epoch, active.position.batch, keys)
    notes.setdefault("traffic", {})[loop.round + 1] = vars(loop.comm.traffic).copy()
    notes["rows"] = {t.language: components.bank.row_size(t.slot) for t in loop.slot_manager.in_order()}
    _stop_after_rounds(components, notes)


def note_states(components: RunComponents, notes: Notes) -> None:
    """A `Watch`: the slot's whole row and both moments of every language here before every round, and its clock.

    In the round and of the language `notes["unread"]`, no owner can read anything.
    """
    loop, optimizer = components.loop, components.optimizer
    notes.setdefault("states", {})[loop.round + 1] = {
        active.language: (
            active.progress.step,
            *(buffer[active.slot].detach().clone() for buffer in (components.bank.rows, *optimizer.buffers.values())),
        )
        for active in loop.slot_manager.in_order()
    }
    notes.setdefault("held", {})[loop.round + 1] = [
        active.language for active in loop.slot_manager.in_order() if active.is_replaying(loop.round + 1)
    ]
    number, language = notes.get("unread", (None, None))
    if loop.round + 1 == number:
        read_nothing_of(components, language)
    _stop_after_rounds(components, notes)


def _stop_after_rounds(components: RunComponents, notes: Notes) -> None:
    loop = components.loop
    if "rounds" in notes:
        first = notes.setdefault("first", loop.round)
        loop.stop_requested = lambda: loop.round >= first + notes["rounds"]


def _note_reductions(components: RunComponents, notes: Notes) -> None:
    """Every `Comm.reduce` of this rank: by round, the blocks."""
    loop, reduce = components.loop, components.loop.comm.reduce
    reduced: dict[int, list[tuple[int, int]]] = notes.setdefault("reduced", {})

    def noted(group: RankGroup, buffer: Any) -> None:
        reduced.setdefault(loop.round + 1, []).append((group.first, group.size))
        reduce(group, buffer)

    loop.comm.reduce = noted  # type: ignore[method-assign]


def read_nothing_of(components: RunComponents, language: str) -> None:
    """Of the next batch of this language every utterance of this rank's share is unreadable."""
    loader, take = components.loop.loader, components.loop.loader.take

    def without(requests: Any) -> Any:
        batches = take(requests)
        for batch in batches:
            if batch.request.language == language:
                batch.utterances.clear()
        loader.take = take  # type: ignore[method-assign]
        return batches

    loader.take = without  # type: ignore[method-assign]
