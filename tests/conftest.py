"""Shared fixtures: one thread a process, no network, and small bases of random weights. Slow tests run on request."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest
import torch

LONG_FIRST = ("slurm", "distributed", "faults", "gpu", "integration", "unit")
"""Folders of tests, those with the longest modules first: a long one that begins last keeps one core waiting for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow (more than a minute each)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG_FIRST.index(item.path.relative_to(Path(__file__).parent).parts[0]))
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            took = "takes more than a minute, of time or of the processor"
            reason = f"{item.name} {took}; `make test-all` or `pytest --slow` runs it"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def small_base_config(**changes: object) -> "object":
    """A two-layer MMS-shaped configuration that runs in milliseconds."""
    from transformers import Wav2Vec2Config

    settings: dict = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "conv_dim": (16,) * 7,
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
        "conv_bias": True,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "layerdrop": 0.0,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "feat_proj_dropout": 0.0,
        "final_dropout": 0.0,
        "num_codevectors_per_group": 4,
        "codevector_dim": 8,
        "proj_codevector_dim": 8,
        "vocab_size": 32,
        "pad_token_id": 0,
        "ctc_zero_infinity": True,
        "ctc_loss_reduction": "mean",
    }
    return Wav2Vec2Config(**(settings | changes))


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder shaped like facebook/mms-300m: pretraining weights, no head, no tokenizer, no adapter dimension."""
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

    folder = tmp_path_factory.mktemp("small-base")
    torch.manual_seed(0)
    Wav2Vec2ForPreTraining(small_base_config()).save_pretrained(folder)  # type: ignore[arg-type]
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return folder
