"""A run with checkpoints of three languages, for its exports."""

from pathlib import Path

import pytest
import torch

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.model.adapter import AdapterShape
from tests.checkpoint_samples import sample

SIZES = {"ita": 20, "ron": 31, "srp-script_latin": 20}


def language_state(step: int, best_step: int) -> dict:
    best = {"cer": 0.123, "wer": 0.4567, "step": best_step}
    return {"status": "finished", "best": best, "audio_seconds": 5_400.0}


@pytest.fixture
def run(tmp_path: Path, small_base: Path) -> Path:
    """Three languages with vocabularies of different sizes; Romanian's best is not its last, and Serbian has none."""
    directory = tmp_path / "run"
    with CheckpointStore(directory / "adapters", keep=2) as store:
        for language, size in SIZES.items():
            for step in (1, 2):
                shape = AdapterShape(layers=2, hidden=32, dim=4, vocabulary_size=size)
                state = language_state(step, 1 if language == "ron" else 2)
                snapshot = sample(language, step, shape=shape, seed=size * step, state=state, dtype=torch.float64)
                store.save(snapshot, best=language != "srp-script_latin" and step == state["best"]["step"])
    (directory / "config.yaml").write_text(f"model:\n  base: {small_base}\n")
    return directory
