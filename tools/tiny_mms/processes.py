"""Run a training in several processes, each of one thread; measure and export while it runs."""

import argparse
import json
import multiprocessing
import signal
import tempfile
from collections import Counter
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import Wav2Vec2Model

from tools.tiny_mms.export import export_base
from tools.tiny_mms.measure import phone_error_rate
from tools.tiny_mms.mixture import Mixture, Parts
from tools.tiny_mms.network import SIZES, PhoneRecognizer
from tools.tiny_mms.parts import Utterance, read_part
from tools.tiny_mms.phones import PhoneInventory, decompose
from tools.tiny_mms.recorded import DEMO_DEV, UNSEEN_RECORDED
from tools.tiny_mms.training import Course, Trainer

_RARE_LETTER = 100
_PHONES = "phones.json"


def inventory_of(state: Path, parts: Parts) -> PhoneInventory:
    """Return the phone classes of this training, chosen once from the parts that were there when it began."""
    path = state / _PHONES
    if not path.exists():
        counts = Counter(
            letter
            for name in parts.complete()
            for one in parts[name]
            for ipa in one.phones
            for letter in decompose(ipa)
        )
        letters = sorted(letter for letter, count in counts.items() if count >= _RARE_LETTER)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(letters, ensure_ascii=False), encoding="utf-8")
    return PhoneInventory(json.loads(path.read_text(encoding="utf-8")))


def train_base(parsed: argparse.Namespace) -> None:
    """Train from the last checkpoint on, or from the beginning; SIGTERM ends it after a step."""
    inventory_of(parsed.state, Parts(parsed.parts))
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(train_process, (parsed, Path(folder) / "store", stop), parsed.processes)
    finally:
        signal.signal(signal.SIGTERM, before)


def train_process(rank: int, parsed: argparse.Namespace, store: Path, stop: Event) -> None:
    """Train in process ``rank``; all of them meet by the file ``store``."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if parsed.processes > 1:
        dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=parsed.processes)
    parts = Parts(parsed.parts)
    inventory = inventory_of(parsed.state, parts)
    sets: dict[str, list[Utterance]] = {}
    for folder in sorted(parsed.tests.iterdir()):
        name = folder.name if folder.name in (DEMO_DEV, UNSEEN_RECORDED) else "unseen"
        sets.setdefault(name, []).extend(read_part(folder))
    model = PhoneRecognizer(len(inventory), SIZES[parsed.size])
    model.quicken()
    mixture = Mixture(parts, inventory, dict(parsed.shares), 0)
    course = Course(steps=parsed.steps, batch_seconds=parsed.batch_seconds, decay_from=parsed.decay_from)
    if parsed.start:
        model.base.load_state_dict(Wav2Vec2Model.from_pretrained(parsed.start, dtype=torch.float32).state_dict())
        course = replace(course, aligned_steps=0, front_end_steps=0)
    trainer = Trainer(parsed.state, model, mixture, course)
    trainer.load()
    if not rank:
        print(f"begins at step {trainer.step}", flush=True)

    def report(trainer: Trainer) -> None:
        averaged = trainer.averaged()
        row = {"step": trainer.step, "hours": round(trainer.audio_seconds / 3600, 2)}
        row |= {name: round(phone_error_rate(averaged, some, inventory), 4) for name, some in sets.items()}
        print(json.dumps(row), flush=True)
        with (parsed.state / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        export_base(averaged, parsed.out)

    trainer.train(parsed.test_every, report, stop.is_set)
    if parsed.processes > 1:
        dist.destroy_process_group()
