"""DeepSpeed's ZeRO-3 on one device: a run with it trains what a run without it trains."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import load_file

from tests.corpus import build_toy_shards, toy_languages
from tests.gpu.bases import saved_base
from tests.gpu.commands import Commands
from tests.gpu.distance import relative
from tests.gpu.part import Part
from tests.gpu.parts.product import DEMO, LEARNING_RATE, ROOT

SETTINGS = str(ROOT / "configs" / "deepspeed" / "zero3.json")
BOUND = 1e-3
"""DESIGN I1, in float32."""


def run(part: Part) -> None:
    if importlib.util.find_spec("deepspeed") is None:
        part.record.skip("ZeRO-3", "DeepSpeed is not installed: tests/gpu/wheels.sh builds its wheel")
        return
    folder = Path(tempfile.mkdtemp(dir=part.scratch))
    try:
        compare(part, Commands(part, part.findings.with_name("zero3.log")), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(part: Part, commands: Commands, folder: Path) -> None:
    """The last checkpoints of both runs; and one in bfloat16, which must come to its end."""
    shards = str(build_toy_shards(folder, languages=2, train=4, dev=2))
    base, steps = saved_base(folder), "2" if part.smoke else "12"

    def command(name: str, dtype: str, *more: str) -> list[str]:
        words = ["train", "--config", DEMO, "--data.shards", shards, "--run.directory", str(folder / name)]
        words += ["--run.device", str(part.device), "--model.base", base, "--model.dtype", dtype]
        words += ["--optim.steps", steps, "--optim.warmup_steps", "1", "--optim.lr", LEARNING_RATE]
        return [*words, "--optim.batch_seconds", "4", "--evaluation.every_steps", steps, *more]

    commands.succeeds(*command("whole", "float32"), name="train without DeepSpeed")
    sharded = ["--comm.deepspeed", SETTINGS]
    if not commands.succeeds(*command("sharded", "float32", *sharded), name="train with ZeRO-3", seconds=90):
        return
    for language in toy_languages(2):
        whole, spread = (
            load_file(folder / name / "adapters" / language / "last" / f"adapter.{language}.safetensors")
            for name in ("whole", "sharded")
        )
        off = max(relative(spread[key], whole[key]) for key in whole)
        part.record.check(f"ZeRO-3 trains what one process trains without it, {language}", off, at_most=BOUND)
    if not part.smoke and part.has(20, "ZeRO-3 in bfloat16"):
        commands.succeeds(*command("half", "bfloat16", *sharded), name="train with ZeRO-3 in bfloat16")
