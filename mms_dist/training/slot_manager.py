"""The languages that this rank owns, each in a slot, and the moves between ranks when owners change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.language_slots import LanguageSlots, LanguageState
from mms_dist.training.scheduler import LanguageScheduler


@dataclass(frozen=True)
class Move:
    """The move of a language from a current owner to a new one."""

    language: str
    sender: int
    receiver: int


def moves(before: Mapping[str, RankGroup], after: Mapping[str, RankGroup]) -> list[Move]:
    """List the moves that a change of owners needs, in the same order on every rank.

    A send blocks until it is received. Because every rank processes the moves in this one order, no deadlock can occur.
    """
    result = []
    for language in sorted(before.keys() & after.keys()):
        senders = before[language].ranks
        receivers = [rank for rank in after[language].ranks if rank not in before[language]]
        # The old owners share the sending, so that a rank group doubles in the time of one transfer.
        result += [Move(language, senders[i % len(senders)], rank) for i, rank in enumerate(receivers)]
    return result


@dataclass
class SlotManager:
    """Keeps the active languages in the slots of this rank's bank."""

    comm: Comm
    scheduler: LanguageScheduler
    language_slots: LanguageSlots
    slots: int
    active_languages: dict[str, ActiveLanguage] = field(default_factory=dict)

    def in_order(self) -> list[ActiveLanguage]:
        """Return the active languages sorted by code, which is their order in a round."""
        return [self.active_languages[language] for language in sorted(self.active_languages)]

    def ended(self, round_number: int) -> list[str]:
        """Return the languages of this rank that have ended."""
        return [active.language for active in self.in_order() if active.leaves_after(round_number)]

    def update(self, ended: Iterable[str], round_number: int) -> tuple[list[str], list[ActiveLanguage]]:
        """Release the languages that have ended on any rank, admit the next ones and assign owners to all.

        Returns:
            All admitted languages, and those of them that this rank owns.
        """
        ended = list(ended)
        before = self.scheduler.placement
        self.scheduler.release(ended)
        admitted = self.scheduler.fill(round_number)
        if ended or admitted:
            self.scheduler.place()
            for language in ended:
                self._release(language)
            before = {language: before[language] for language in before if language in self.scheduler.active}
            self._finish_saving(before)
            self._move_languages(before)
        return admitted, [self._enter(language, round_number) for language in admitted if self._is_mine(language)]

    def _finish_saving(self, before: Mapping[str, RankGroup]) -> None:
        """Finish pending writes on ranks that stop being a first owner: one process at a time writes a folder."""
        after = self.scheduler.placement
        old_leads = {group.lead for language, group in before.items() if after[language].lead != group.lead}
        if self.comm.rank in old_leads:
            self.language_slots.store.drain()
        if old_leads:
            self.comm.all_reduce_max([0], about="the checkpoints of languages that change owners")

    def _move_languages(self, before: Mapping[str, RankGroup]) -> None:
        """Send and receive the languages whose owners change."""
        after, rank = self.scheduler.placement, self.comm.rank
        all_moves = moves(before, after)
        # Copy the leaving languages and free their slots first: an arriving language may need such a slot.
        leaving = {move.language for move in all_moves if move.sender == rank}
        states = {language: self.language_slots.pack(self.active_languages[language]) for language in leaving}
        for language, group in before.items():
            if rank in group and rank not in after[language]:
                self._release(language)
            elif rank in group and after[language] != group:
                self._change_group(self.active_languages[language], after[language])
        for move in all_moves:
            if move.sender == rank:
                self.comm.send(move.receiver, states[move.language])
            elif move.receiver == rank:
                self._enter_received(self.comm.receive(move.sender), after[move.language])

    def _is_mine(self, language: str) -> bool:
        return self.comm.rank in self.scheduler.placement[language]

    def _enter(self, language: str, round_number: int) -> ActiveLanguage:
        queued, group = self.scheduler.active[language], self.scheduler.placement[language]
        active = self.language_slots.enter(queued, self._free_slot(), round_number, group, self.comm.rank)
        self.active_languages[language] = active
        return active

    def _enter_received(self, language_state: LanguageState, group: RankGroup) -> None:
        active = self.language_slots.unpack(language_state, self._free_slot(), group, self.comm.rank)
        self.active_languages[active.language] = active

    def _change_group(self, active: ActiveLanguage, group: RankGroup) -> None:
        """Update a language that stays on this rank but changes its other owners."""
        self.active_languages[active.language] = replace(active, group=group)
        self.language_slots.serve(self.active_languages[active.language])

    def _release(self, language: str) -> None:
        active = self.active_languages.pop(language, None)
        if active is not None:
            self.language_slots.leave(active)

    def _free_slot(self) -> int:
        taken = {active.slot for active in self.active_languages.values()}
        return next(slot for slot in range(self.slots) if slot not in taken)
