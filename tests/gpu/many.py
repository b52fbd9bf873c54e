"""What only several GPUs can show: NCCL, joint = alone, languages shared among ranks, and a rank that is lost.

    torchrun --standalone --nproc-per-node 2 -m tests.gpu.many --out results-many
    torchrun --standalone --nproc-per-node 2 -m tests.gpu.many --out results-many --smoke    on the CPU, with gloo

Every rank starts the product's own `train` as a process beside it, with the place that torchrun gave it and a port of
its own; so one of them can be killed without torchrun ending the others. DIR must be seen by all machines.
"""

import argparse
import importlib
import os
import socket
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file

from mms_dist.distributed.device import choose_device
from tests.corpus import build_toy_shards, toy_languages
from tests.gpu.bases import saved_base
from tests.gpu.child import IMPORTED
from tests.gpu.collectives import look_at_collectives
from tests.gpu.commands import TIMED_OUT, Commands
from tests.gpu.distance import relative
from tests.gpu.part import Part
from tests.gpu.parts.product import DEMO, LEARNING_RATE
from tests.gpu.record import Document, Record, collect
from tests.gpu.summary import TABLE, exit_status, write_results

BOUND = 1e-3
"""DESIGN I1, in float32."""
SECONDS = 600.0
LOST_SECONDS = 60.0
"""In which the ranks that are left must have found that one is gone, and have ended."""
STEPS, SMOKE_STEPS = 12, 4
_LAUNCHERS = ("TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")


@dataclass(frozen=True)
class Ranks:
    """This rank's view of the world; they meet in torchrun's store."""

    rank: int
    world: int
    store: dist.Store
    host: str

    @classmethod
    def here(cls) -> "Ranks":
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=SECONDS))
        return cls(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), dist.PrefixStore("suite", store), host)

    def rendezvous(self, where: str) -> None:
        """Wait until all ranks have come here."""
        if self.store.add(where, 1) == self.world:
            self.store.set(f"{where} all", "")
        self.store.wait([f"{where} all"])

    def port(self, where: str) -> int:
        """A free one of the first machine's, the same on all ranks."""
        if self.rank == 0:
            with socket.socket() as probe:
                probe.bind(("", 0))
                self.store.set(f"{where} port", str(probe.getsockname()[1]))
        return int(self.store.get(f"{where} port"))


@dataclass(frozen=True)
class Suite:
    """What every rank does, in step with the others."""

    ranks: Ranks
    part: Part
    out: Path

    def run(self) -> None:
        languages = toy_languages(self.ranks.world + 1)
        if self.ranks.rank == 0:
            build_toy_shards(self.out / "corpus", languages=len(languages), train=4, dev=2)
            saved_base(self.out)
            alone = Commands(self.part, self.out / "alone.log", self._place(None))
            alone.succeeds(*self._command("alone"), name="train, one process", seconds=SECONDS)
        self.ranks.rendezvous("alone")
        self.train("joint", "every language on a rank of its own")
        self.same(languages, "joint", "languages on ranks of their own")
        self.train("shared", "every language on all ranks", "--rounds.placement", "replicate")
        self.same(languages, "shared", "languages shared by all ranks")
        self.lose(languages[0])
        self.same(languages, "lost", "a run that lost a rank and was resumed")
        part = self.part
        if part.on_gpu:  # not asked for before: the commands are forked from this process
            part = replace(part, device=choose_device("auto", int(os.environ.get("LOCAL_RANK", "0"))))
        look_at_collectives(part, self.ranks.rank, self.ranks.world, self.ranks.host, self.ranks.port("NCCL"))

    def train(self, name: str, what: str, *more: str) -> None:
        """The product's `train` on all ranks."""
        commands = self._commands(name)
        commands.succeeds(*self._command(name, *more), name=f"train, {what}", seconds=SECONDS)
        self.ranks.rendezvous(name)

    def lose(self, language: str) -> None:
        """The last rank is killed at a checkpoint; the others end by themselves; a new start goes on."""
        commands, words = self._commands("losing"), self._command("lost")
        if self.ranks.rank == self.ranks.world - 1:
            killed = commands.killed(*words, when=self._checkpoint("lost", language).is_dir, seconds=SECONDS)
            self.part.record.holds("the last rank was killed at a checkpoint", killed)
            self.ranks.store.set("killed", "")
        else:
            with commands.started(*words) as process:
                self.ranks.store.wait(["killed"])
                began = time.monotonic()
                process.join(LOST_SECONDS)
                code = TIMED_OUT if process.exitcode is None else process.exitcode
            self.part.record.note("s until a rank found that another was lost", time.monotonic() - began)
            found = code not in (0, TIMED_OUT)
            self.part.record.holds("a rank that is lost is found, and the others end", found, f"exit status {code}")
        self.ranks.rendezvous("lost")
        self.train("lost", "after a rank was lost")

    def same(self, languages: list[str], name: str, what: str) -> None:
        """Rank 0 compares with the run of one process."""
        for language in languages if self.ranks.rank == 0 else []:
            alone, found = (
                load_file(self.out / run / "adapters" / language / "last" / f"adapter.{language}.safetensors")
                for run in ("alone", name)
            )
            off = max(relative(found[key], alone[key]) for key in alone)
            self.part.record.check(f"as one process trains it: {language}, {what}", off, at_most=BOUND)

    def _checkpoint(self, run: str, language: str) -> Path:
        return self.out / run / "adapters" / language / f"step-{self._steps // 2:08}"

    @property
    def _steps(self) -> int:
        return SMOKE_STEPS if self.part.smoke else STEPS

    def _command(self, name: str, *more: str) -> list[str]:
        half = str(self._steps // 2)
        device = ["--run.device", "auto" if self.part.on_gpu else "cpu"]
        words = ["train", "--config", DEMO, "--data.shards", str(self.out / "corpus" / "shards"), *device]
        words += ["--run.directory", str(self.out / name), "--model.base", str(self.out / "base")]
        words += ["--model.dtype", "float32", "--optim.batch_seconds", "4"]
        words += ["--optim.steps", str(self._steps), "--optim.warmup_steps", "1", "--optim.lr", LEARNING_RATE]
        words += ["--evaluation.every_steps", str(self._steps), "--evaluation.max_utterances", "1"]
        return [*words, "--checkpoint.every_rounds", half, *more]

    def _commands(self, name: str) -> Commands:
        log = self.out / f"rank{self.ranks.rank}.log"
        return Commands(self.part, log, self._place(self.ranks.port(name)))

    def _place(self, port: int | None) -> dict[str, str | None]:
        """The environment of a child: this rank's place and a port that is not torchrun's; None: alone."""
        agents: dict[str, str | None] = dict.fromkeys(_LAUNCHERS)
        if port is None:
            return agents | dict.fromkeys(("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK"))
        return agents | {"MASTER_PORT": str(port)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="torchrun … -m tests.gpu.many", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.json and table.md, for all")
    parser.add_argument("--smoke", action="store_true", help="on the CPU, with gloo")
    asked = parser.parse_args(arguments)
    for module in IMPORTED:  # before anything is forked
        importlib.import_module(module)
    ranks, out = Ranks.here(), asked.out.resolve()
    if ranks.world < 2:
        parser.error(f"found {ranks.world} process, expected two or more: torchrun --nproc-per-node 2 …")
    out.mkdir(parents=True, exist_ok=True)
    findings = out / f"rank{ranks.rank}.jsonl"
    findings.unlink(missing_ok=True)
    record = Record(findings, f"rank {ranks.rank}")
    device = torch.device("cpu" if asked.smoke else "cuda")
    part = Part(record, device, asked.smoke, time.monotonic() + SECONDS, findings)
    try:
        Suite(ranks, part, out).run()
    except Exception as error:
        record.end("failed", error=f"{type(error).__name__}: {error}")
        raise  # torchrun ends the others
    record.end_by_checks()
    ranks.rendezvous("end")
    if ranks.rank:
        return 0
    parts: Document = {}
    for rank in range(ranks.world):
        parts |= collect(out / f"rank{rank}.jsonl")
    write_results(out, parts, smoke=asked.smoke)
    print(f"\n{(out / TABLE).read_text(encoding='utf-8')}")
    return exit_status(parts)


if __name__ == "__main__":
    sys.exit(main())
