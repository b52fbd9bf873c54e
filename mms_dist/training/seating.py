"""This rank's part of the roster: the languages it owns, each in a slot, and what changes when owners do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.placement import Block
from mms_dist.training.roster import Roster
from mms_dist.training.trainee import Trainee
from mms_dist.training.workplace import Parcel, Workplace


@dataclass(frozen=True)
class Move:
    """A language goes from a rank that owns it to one that will."""

    language: str
    sender: int
    receiver: int


def moves(before: Mapping[str, Block], after: Mapping[str, Block]) -> list[Move]:
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
class Seating:
    """Trainees in the slots of this rank's bank."""

    comm: Comm
    roster: Roster
    workplace: Workplace
    slots: int
    trainees: dict[str, Trainee] = field(default_factory=dict)

    def in_order(self) -> list[Trainee]:
        """By code: the order of a round."""
        return [self.trainees[language] for language in sorted(self.trainees)]

    def ended(self, round_number: int) -> list[str]:
        """Languages of this rank that are done."""
        return [trainee.language for trainee in self.in_order() if trainee.leaves_after(round_number)]

    def settle(self, ended: Iterable[str], round_number: int) -> tuple[list[str], list[Trainee]]:
        """Release the languages that have ended anywhere, let the next in, and give every language its owners.

        Returns:
            All languages that came in, and those of them that this rank owns.
        """
        ended = list(ended)
        before = self.roster.placement
        self.roster.release(ended)
        came = self.roster.fill(round_number)
        if ended or came:
            self.roster.place()
            for language in ended:
                self._let_go(language)
            before = {language: before[language] for language in before if language in self.roster.active}
            self._finish_saving(before)
            self._follow(before)
        return came, [self._enter(language, round_number) for language in came if self._is_mine(language)]

    def _finish_saving(self, before: Mapping[str, Block]) -> None:
        """One process at a time writes a language's folder: who gives up the lead first writes what it was given."""
        after = self.roster.placement
        leaving = {block.lead for language, block in before.items() if after[language].lead != block.lead}
        if self.comm.rank in leaving:
            self.workplace.store.drain()
        if leaving:
            self.comm.agree([0], about="the checkpoints of languages that change hands")

    def _follow(self, before: Mapping[str, Block]) -> None:
        """Hand on and take over the languages whose owners change."""
        after, rank = self.roster.placement, self.comm.rank
        todo = moves(before, after)
        # What leaves is copied and its slot freed first: what comes may need that slot.
        mine = {move.language for move in todo if move.sender == rank}
        parcels = {language: self.workplace.pack(self.trainees[language]) for language in mine}
        for language, block in before.items():
            if rank in block and rank not in after[language]:
                self._let_go(language)
            elif rank in block and after[language] != block:
                self._share_anew(self.trainees[language], after[language])
        for move in todo:
            if move.sender == rank:
                self.comm.send(move.receiver, parcels[move.language])
            elif move.receiver == rank:
                self._take(self.comm.receive(move.sender), after[move.language])

    def _is_mine(self, language: str) -> bool:
        return self.comm.rank in self.roster.placement[language]

    def _enter(self, language: str, round_number: int) -> Trainee:
        candidate, block = self.roster.active[language], self.roster.placement[language]
        trainee = self.workplace.enter(candidate, self._free_slot(), round_number, block, self.comm.rank)
        self.trainees[language] = trainee
        return trainee

    def _take(self, parcel: Parcel, block: Block) -> None:
        trainee = self.workplace.unpack(parcel, self._free_slot(), block, self.comm.rank)
        self.trainees[trainee.language] = trainee

    def _share_anew(self, trainee: Trainee, block: Block) -> None:
        """It stays here, but with other owners beside this one."""
        self.trainees[trainee.language] = replace(trainee, block=block)
        self.workplace.serve(self.trainees[trainee.language])

    def _let_go(self, language: str) -> None:
        trainee = self.trainees.pop(language, None)
        if trainee is not None:
            self.workplace.leave(trainee)

    def _free_slot(self) -> int:
        taken = {trainee.slot for trainee in self.trainees.values()}
        return next(slot for slot in range(self.slots) if slot not in taken)
