"""This rank's part of the roster: the languages it owns, each in a slot, and what changes when owners do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.language_slots import LanguageSlots, LanguageState
from mms_dist.training.scheduler import LanguageScheduler


@dataclass(frozen=True)
class Move:
    """A language goes from a rank that owns it to one that will."""

    language: str
    sender: int
    receiver: int


def moves(before: Mapping[str, RankGroup], after: Mapping[str, RankGroup]) -> list[Move]:
    """Who hands which language to whom when the owners change, in an order that is the same on every rank.

    As sending waits for receiving, and every rank goes through the moves in this one order, none waits in a circle.
    """
    todo = []
    for language in sorted(before.keys() & after.keys()):
        senders = before[language].ranks
        receivers = [rank for rank in after[language].ranks if rank not in before[language]]
        # Each old owner serves its part of the new ones, so that a block doubles in the time of one parcel.
        todo += [Move(language, senders[i % len(senders)], rank) for i, rank in enumerate(receivers)]
    return todo


@dataclass
class SlotManager:
    """Trainees in the slots of this rank's bank."""

    comm: Comm
    scheduler: LanguageScheduler
    language_slots: LanguageSlots
    slots: int
    active_languages: dict[str, ActiveLanguage] = field(default_factory=dict)

    def in_order(self) -> list[ActiveLanguage]:
        """By code: the order of a round."""
        return [self.active_languages[language] for language in sorted(self.active_languages)]

    def ended(self, round_number: int) -> list[str]:
        """Languages of this rank that are done."""
        return [active.language for active in self.in_order() if active.leaves_after(round_number)]

    def update(self, ended: Iterable[str], round_number: int) -> tuple[list[str], list[ActiveLanguage]]:
        """Release the languages that have ended anywhere, let the next in, and give every language its owners.

        Returns:
            All languages that came in, and those of them that this rank owns.
        """
        ended = list(ended)
        before = self.scheduler.placement
        self.scheduler.release(ended)
        came = self.scheduler.fill(round_number)
        if ended or came:
            self.scheduler.place()
            for language in ended:
                self._let_go(language)
            before = {language: before[language] for language in before if language in self.scheduler.active}
            self._finish_saving(before)
            self._follow(before)
        return came, [self._enter(language, round_number) for language in came if self._is_mine(language)]

    def _finish_saving(self, before: Mapping[str, RankGroup]) -> None:
        """One process at a time writes a language's folder: who gives up the lead first writes what it was given."""
        after = self.scheduler.placement
        leaving = {group.lead for language, group in before.items() if after[language].lead != group.lead}
        if self.comm.rank in leaving:
            self.language_slots.store.drain()
        if leaving:
            self.comm.all_reduce_max([0], about="the checkpoints of languages that change hands")

    def _follow(self, before: Mapping[str, RankGroup]) -> None:
        """Hand on and take over the languages whose owners change."""
        after, rank = self.scheduler.placement, self.comm.rank
        todo = moves(before, after)
        # What leaves is copied and its slot freed first: what comes may need that slot.
        mine = {move.language for move in todo if move.sender == rank}
        parcels = {language: self.language_slots.pack(self.active_languages[language]) for language in mine}
        for language, group in before.items():
            if rank in group and rank not in after[language]:
                self._let_go(language)
            elif rank in group and after[language] != group:
                self._share_anew(self.active_languages[language], after[language])
        for move in todo:
            if move.sender == rank:
                self.comm.send(move.receiver, parcels[move.language])
            elif move.receiver == rank:
                self._take(self.comm.receive(move.sender), after[move.language])

    def _is_mine(self, language: str) -> bool:
        return self.comm.rank in self.scheduler.placement[language]

    def _enter(self, language: str, round_number: int) -> ActiveLanguage:
        queued, group = self.scheduler.active[language], self.scheduler.placement[language]
        active = self.language_slots.enter(queued, self._free_slot(), round_number, group, self.comm.rank)
        self.active_languages[language] = active
        return active

    def _take(self, language_state: LanguageState, group: RankGroup) -> None:
        active = self.language_slots.unpack(language_state, self._free_slot(), group, self.comm.rank)
        self.active_languages[active.language] = active

    def _share_anew(self, active: ActiveLanguage, group: RankGroup) -> None:
        """It stays here, but with other owners beside this one."""
        self.active_languages[active.language] = replace(active, group=group)
        self.language_slots.serve(self.active_languages[active.language])

    def _let_go(self, language: str) -> None:
        active = self.active_languages.pop(language, None)
        if active is not None:
            self.language_slots.leave(active)

    def _free_slot(self) -> int:
        taken = {active.slot for active in self.active_languages.values()}
        return next(slot for slot in range(self.slots) if slot not in taken)
