"""The product itself: the commands a user types, and kill -9.

On a GPU with the base and the recordings that ship with it; a smoke run takes a small random base and made-up sounds.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from rapidfuzz.distance import Levenshtein
from safetensors.torch import load_file

from mms_dist.run_directory.paths import HARDWARE_NAME
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards, toy_languages
from tests.gpu.bases import saved_base
from tests.gpu.commands import Commands
from tests.gpu.distance import relative
from tests.gpu.part import Part
from tests.gpu.parts.environment import CAPABILITY

ROOT = Path(__file__).resolve().parents[3]
DEMO = str(ROOT / "launcher" / "demo.yaml")
RECORDED = ["ita", "rus"]
EVERY_ROUNDS = 5
LEARNING_RATE = "1e-3"
"""Not the demo's 8e-3: where a device does not repeat its bits, large steps let the difference grow, and after 40 of
them the bound would judge chance as much as the resume. (On a CPU, two runs whose passes have other shapes, and so
round differently, were at most 2e-5 apart after 40 steps at this rate, with adapters of width 64.)"""
RESUMED_BOUND = 1e-3
"""DESIGN I1, in float32: of weights after a kill and a resume against those of a run that was not killed. On a CPU the
bits are the same."""

OTHER_TEXT = 0.02
"""Where two labels are nearly as likely, another order of sums may write the other one."""


def run(part: Part) -> None:
    folder = Path(tempfile.mkdtemp(dir=part.scratch))
    try:
        commands = Commands(part, part.findings.with_name("product.log"))
        commands.log.unlink(missing_ok=True)
        shards, languages = _shards(part, commands, folder)
        common = ["--config", DEMO, "--data.shards", shards]
        if part.smoke:
            common += ["--model.base", saved_base(folder)]
        train(part, commands, folder, common, languages)
        if not part.smoke:
            debug(part, commands, common)
            with_a_launcher(part, folder, common)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shards(part: Part, commands: Commands, folder: Path) -> tuple[str, list[str]]:
    if part.smoke:
        return str(build_toy_shards(folder, languages=2, train=4, dev=2)), toy_languages(2)
    manifest = str(ROOT / "shards" / "demo" / "manifest.tsv")
    commands.succeeds("shards", "build", manifest, str(folder / "shards"), "--lang", *RECORDED, name="shards build")
    return str(folder / "shards"), RECORDED


def train(part: Part, commands: Commands, folder: Path, common: list[str], languages: list[str]) -> None:
    """A run, the same run killed and resumed, its scores and its export."""
    steps = 4 if part.smoke else 40
    every = 1 if part.smoke else EVERY_ROUNDS
    device = ["--run.device", str(part.device)]
    settings = ["--optim.steps", str(steps), "--optim.warmup_steps", str(steps // 4), "--optim.batch_seconds", "4"]
    settings += ["--optim.lr", LEARNING_RATE]
    settings += ["--evaluation.every_steps", str(steps // 2), "--checkpoint.every_rounds", str(every)]
    exact = [*settings, *device, "--model.dtype", "float32"]

    def command(name: str, *more: str) -> list[str]:
        return ["train", *common, *exact, "--run.directory", str(folder / name), *more]

    commands.succeeds(*command("whole"), name=f"train, {steps} rounds in float32")
    begun = folder / "killed" / "adapters" / languages[0] / f"step-{steps // 2:08}"
    killed = commands.killed(*command("killed"), when=begun.is_dir)
    part.record.holds("the run was killed at a checkpoint, before its end", killed)
    commands.succeeds(*command("killed"), name="train, resumed after kill -9")
    for language in languages:
        whole, resumed = (_adapter(folder / name, language) for name in ("whole", "killed"))
        off = max(relative(resumed[key], whole[key]) for key in whole)
        bound = RESUMED_BOUND if part.on_gpu else 0.0
        part.record.check(f"killed and resumed as never killed, {language}", off, at_most=bound)
    commands.succeeds("eval", str(folder / "whole"), "--split", "dev" if part.smoke else "test")
    commands.succeeds("export", str(folder / "whole"), "--to", str(folder / "export"))
    transcribe(part, commands, folder, common[common.index("--data.shards") + 1], languages)
    if not part.smoke:
        defaults = [*settings, *device, "--model.dtype", "auto", "--run.directory", str(folder / "defaults")]
        commands.succeeds("train", *common, *defaults, name="train with what the device decides")
        chosen = json.loads((folder / "defaults" / HARDWARE_NAME).read_text(encoding="utf-8"))
        part.record.note("what the device decided", chosen)
        # (This process must not ask the card itself: commands are forked from it.)
        if (part.found("environment", CAPABILITY) or 0) >= 8:
            part.record.holds("on this card a run computes in bfloat16", chosen["dtype"] == "bfloat16", str(chosen))


def _adapter(run: Path, language: str):  # type: ignore[no-untyped-def]
    """The last checkpoint's tensors, by name."""
    return load_file(run / "adapters" / language / "last" / f"adapter.{language}.safetensors")


def transcribe(part: Part, commands: Commands, folder: Path, shards: str, languages: list[str]) -> None:
    """Recordings of all languages in one batch, a long one among them: on the device as on the CPU."""
    reader = ShardReader(ShardIndex.load(shards, languages))
    lines = []
    for language in languages:
        audio = [reader.read(language, "dev", row).audio for row in range(2)]
        repeats = 1 + int(40 * SAMPLE_RATE / sum(map(len, audio)))
        for name, samples in (("short", audio[0]), ("long", np.concatenate(audio * repeats))):
            path = folder / f"{language}-{name}.wav"
            soundfile.write(path, samples, SAMPLE_RATE)
            lines.append(f"{path}\t{language}\n")
    reader.close()
    (folder / "list.tsv").write_text("".join(lines), encoding="utf-8")
    texts = []
    for device in (str(part.device), "cpu"):
        to = folder / f"texts-{device.replace(':', '-')}"
        words = ["--list", str(folder / "list.tsv"), "--to", str(to), "--device", device]
        if not commands.succeeds("transcribe", str(folder / "whole"), *words, name=f"transcribe on {device}"):
            return
        texts.append(" ".join(path.read_text(encoding="utf-8") for path in sorted(to.glob("*.txt"))))
        shutil.rmtree(to)
    off = Levenshtein.distance(*texts) / max(len(texts[1]), 1)
    part.record.check("transcripts here and on the CPU, share of characters that differ", off, at_most=OTHER_TEXT)


def debug(part: Part, commands: Commands, common: list[str]) -> None:
    """The product's own look at a configuration, in both precisions."""
    for dtype in ("float32", "bfloat16"):
        if part.has(25, f"debug in {dtype}"):
            words = ["debug", *common, "--device", str(part.device), "--model.dtype", dtype]
            commands.succeeds(*words, name=f"debug in {dtype}")


def with_a_launcher(part: Part, folder: Path, common: list[str]) -> None:
    """One process under torchrun, started from nothing."""
    if not part.has(25, "torchrun with one process"):
        return
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "1", "-m", "launcher.train"]
    words = [*common, "--optim.steps", "4", "--optim.warmup_steps", "1", "--comm.processes", "1"]
    command = [sys.executable, "-m", *launcher, *words, "--run.directory", str(folder / "torchrun")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=part.left() - 2)
    part.record.holds("torchrun with one process ends with 0", ended.returncode == 0, ended.stderr[-1500:])
