"""A base that was not fetched whole, or holds no numbers, is refused with the file, what it is, and what to fetch."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.cli import main
from mms_dist.checkpoint.hugging_face import load_base_config
from mms_dist.errors import BaseModelError
from mms_dist.model import base_encoder as encoder
from mms_dist.model.base import FrozenBase
from tests.base_samples import save_as_old_checkpoint
from tests.corpus import build_toy_shards
from tests.doctoring import examined, failed, written_config

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 1262857648\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
Break = Callable[[Path], None]


def holds(name: str, content: bytes) -> Break:
    def put(base: Path) -> None:
        (base / name).write_bytes(content)

    return put


def cut(name: str, left: float) -> Break:
    def shorten(base: Path) -> None:
        os.truncate(base / name, int((base / name).stat().st_size * left))

    return shorten


def with_config(**changes: Any) -> Break:
    def change(base: Path) -> None:
        values = json.loads((base / CONFIG).read_text())
        (base / CONFIG).write_text(json.dumps(values | changes))

    return change


def with_weights(change: Callable[[dict[str, torch.Tensor]], None]) -> Break:
    def rewrite(base: Path) -> None:
        tensors = safetensors.torch.load_file(base / WEIGHTS)
        change(tensors)
        safetensors.torch.save_file(tensors, base / WEIGHTS, metadata={"format": "pt"})

    return rewrite


def in_parts(base: Path) -> None:
    """As bases of several files are: an index, and here the first of two parts."""
    tensors = safetensors.torch.load_file(base / WEIGHTS)
    names = sorted(tensors)
    parts = {"part-1.safetensors": names[::2], "part-2.safetensors": names[1::2]}
    for part, own in parts.items():
        safetensors.torch.save_file({name: tensors[name] for name in own}, base / part, metadata={"format": "pt"})
    (base / WEIGHTS).unlink()
    weight_map = {name: part for part, own in parts.items() for name in own}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (base / f"{WEIGHTS}.index.json").write_text(json.dumps(index))


def then(*breaks: Break) -> Break:
    def all_of_them(base: Path) -> None:
        for each in breaks:
            each(base)

    return all_of_them


def without(name: str) -> Break:
    return lambda base: (base / name).unlink()


def as_torch_file(base: Path) -> None:
    save_as_old_checkpoint(base / "old", base)
    shutil.move(base / "old" / "pytorch_model.bin", base)
    (base / WEIGHTS).unlink()


def nan_in(name: str, value: float = torch.nan) -> Break:
    def poison(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name].view(-1)[3] = value

    return with_weights(poison)


NORM = "wav2vec2.encoder.layer_norm.weight"
BROKEN: dict[str, tuple[Break, list[str]]] = {
    "pointer": (holds(WEIGHTS, POINTER), [WEIGHTS, "Git LFS pointer", "1,262,857,648 bytes", "git lfs pull"]),
    "page": (holds(WEIGHTS, PAGE), [WEIGHTS, "web page", "download it again"]),
    "xml error": (holds(WEIGHTS, b"<?xml version='1.0'?><Error>AccessDenied</Error>"), [WEIGHTS, "web page"]),
    "empty": (holds(WEIGHTS, b""), [WEIGHTS, "empty (0 bytes)", "fetch"]),
    "zeros": (holds(WEIGHTS, bytes(4096)), [WEIGHTS, "zero bytes only"]),
    "annex": (holds(WEIGHTS, b"/annex/objects/SHA256E-s12--ab.safetensors\n"), [WEIGHTS, "git annex get"]),
    "cut in the weights": (cut(WEIGHTS, 0.7), [WEIGHTS, "is not a complete weights file", "its header says", "fetch"]),
    "cut in the head": (cut(WEIGHTS, 0.01), [WEIGHTS, "its header says", "fetch"]),
    "four bytes": (holds(WEIGHTS, b"\x10\0\0\0"), [WEIGHTS, "(4 bytes)"]),
    "no head": (holds(WEIGHTS, b"\xff" * 100), [WEIGHTS, "is not a complete weights file"]),
    "longer than promised": (
        lambda base: holds(WEIGHTS, (base / WEIGHTS).read_bytes() + b"more")(base),
        [WEIGHTS, "is not a complete weights file", "its header says"],
    ),
    "no weights": (without(WEIGHTS), ["none of model.safetensors", "hf download"]),
    "torch pointer": (then(as_torch_file, holds("pytorch_model.bin", POINTER)), ["pytorch_model.bin", "git lfs pull"]),
    "torch cut": (then(as_torch_file, cut("pytorch_model.bin", 0.6)), ["pytorch_model.bin", "truncated", "fetch"]),
    "torch noise": (then(as_torch_file, holds("pytorch_model.bin", b"no pickle")), ["pytorch_model.bin", "fetch"]),
    "part missing": (then(in_parts, without("part-2.safetensors")), ["lacks part-2.safetensors", "fetch"]),
    "part pointer": (then(in_parts, holds("part-2.safetensors", POINTER)), ["part-2.safetensors", "git lfs pull"]),
    "part cut": (then(in_parts, cut("part-1.safetensors", 0.5)), ["part-1.safetensors", "its header says"]),
    "index pointer": (then(in_parts, holds(f"{WEIGHTS}.index.json", POINTER)), ["index.json", "git lfs pull"]),
    "index noise": (then(in_parts, holds(f"{WEIGHTS}.index.json", b"{")), ["index.json", "is not a weights index"]),
    "index of nothing": (then(in_parts, holds(f"{WEIGHTS}.index.json", b'{"weight_map": {}}')), ["lacks all weights"]),
    "a weight missing": (with_weights(lambda tensors: tensors.__delitem__(NORM)), ["lacks 1 weights", "layer_norm"]),
    "another shape": (
        with_weights(lambda tensors: tensors.update({NORM: torch.ones(7)})),
        ["1 have other shapes", "encoder.layer_norm.weight ([7], expected [32])"],
    ),
    "quantized": (
        with_weights(lambda tensors: tensors.update({NORM: torch.ones(32, dtype=torch.int8)})),
        ["encoder.layer_norm.weight as I8", "floating point"],
    ),
    "config pointer": (holds(CONFIG, POINTER), [CONFIG, "Git LFS pointer"]),
    "config empty": (holds(CONFIG, b""), [CONFIG, "empty"]),
    "config page": (holds(CONFIG, PAGE), [CONFIG, "web page"]),
    "config cut": (cut(CONFIG, 0.5), [CONFIG, "is not valid JSON"]),
    "config no text": (holds(CONFIG, b"\xff\xfe{"), [CONFIG, "is not valid JSON"]),
    "config deep": (holds(CONFIG, b"[" * 100_000), [CONFIG, "is not valid JSON"]),
    "config list": (holds(CONFIG, b"[1]"), [CONFIG, "expected a JSON object"]),
    "config of another model": (with_config(model_type="whisper"), ["'whisper'", "expected wav2vec2"]),
    "config of a word": (with_config(hidden_size="wide"), ["hidden_size", "expected int"]),
    "config without layers": (with_config(num_hidden_layers=0), ["num_hidden_layers 0", "from 1 to 512"]),
    "config of too many": (with_config(num_hidden_layers=10**9), ["num_hidden_layers", "from 1 to 512"]),
    "config of more layers": (with_config(num_hidden_layers=3), ["lacks 16 weights"]),
    "config of fewer layers": (with_config(num_hidden_layers=1), ["16 weights that its config.json does not describe"]),
    "config of odd heads": (with_config(num_attention_heads=5), ["num_attention_heads 5", "divisor of hidden_size 32"]),
    "config of no front end": (with_config(conv_dim=[]), ["conv_dim"]),
    "config of a wrong function": (with_config(hidden_act="jump"), ["no model can be built", "jump"]),
    "config without layer norm": (with_config(do_stable_layer_norm=False), ["do_stable_layer_norm=false"]),
}
NOT_FINITE: dict[str, tuple[Break, list[str]]] = {
    "nan": (nan_in(NORM), [WEIGHTS, "NaN or infinity in 1 weights, first encoder.layer_norm.weight", "fetch"]),
    "infinity": (nan_in("wav2vec2.encoder.layers.1.attention.k_proj.weight", torch.inf), ["k_proj.weight"]),
    "minus infinity": (nan_in(NORM, -torch.inf), ["encoder.layer_norm.weight"]),
    "nan in a part": (then(nan_in(NORM), in_parts), [".safetensors", "encoder.layer_norm.weight"]),
    "nan in a torch file": (then(nan_in(NORM), as_torch_file), ["pytorch_model.bin", "encoder.layer_norm.weight"]),
    "nan in the normed weight": (
        nan_in("wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
        ["pos_conv_embed.conv.parametrizations.weight.original1"],
    ),
    "a direction of zeros": (
        with_weights(
            lambda t: t.update(
                {
                    name: torch.zeros_like(tensor)
                    for name, tensor in t.items()
                    if name.endswith("pos_conv_embed.conv.parametrizations.weight.original1")
                }
            )
        ),
        ["encoder.pos_conv_embed.conv.weight"],
    ),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("bases"), languages=1, train=6, dev=2)


@pytest.fixture
def base(tmp_path: Path, small_base: Path) -> Path:
    return Path(shutil.copytree(small_base, tmp_path / "base"))


@pytest.mark.parametrize("case", [*BROKEN, *NOT_FINITE])
def test_an_incomplete_base_is_refused_with_its_file_and_what_to_fetch(base: Path, case: str) -> None:
    breaks, words = (BROKEN | NOT_FINITE)[case]
    breaks(base)
    with pytest.raises(BaseModelError) as error:
        FrozenBase.load(str(base), dtype=torch.float32)
    for word in words:
        assert word in str(error.value), str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 900
    if case not in ("config without layer norm", "config of another model"):
        assert str(base) in str(error.value)


@pytest.mark.parametrize("case", BROKEN)
def test_doctor_finds_it_by_the_same_words_without_loading(tmp_path: Path, base: Path, shards: Path, case: str) -> None:
    breaks, words = BROKEN[case]
    breaks(base)
    told = failed(examined(written_config(tmp_path, base, shards)))
    assert told.keys() == {"base model"}
    assert all(word in told["base model"] for word in words), told


@pytest.mark.parametrize("case", ["pointer", "torch cut", "part missing", "nan", "config pointer"])
def test_export_refuses_it_too(base: Path, case: str, tmp_path: Path) -> None:
    breaks, words = (BROKEN | NOT_FINITE)[case]
    breaks(base)
    with pytest.raises(BaseModelError) as error:
        encoder.load_encoder(str(base), load_base_config(str(base)), "auto", name="the base")
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("command", "case"),
    [
        *((command, case) for command in ("train", "debug") for case in ("pointer", "nan", "config empty")),
        ("plan", "config empty"),  # which needs no weights
    ],
)
def test_commands_end_with_2_and_one_line(
    tmp_path: Path, base: Path, shards: Path, capsys: pytest.CaptureFixture[str], command: str, case: str
) -> None:
    breaks, words = (BROKEN | NOT_FINITE)[case]
    path = written_config(tmp_path, base, shards)
    breaks(base)
    assert main([command, "--config", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "Traceback" not in told
    assert all(word in told for word in words)
    assert not (tmp_path / "run" / "adapters").exists() or not any((tmp_path / "run" / "adapters").iterdir())


@pytest.mark.parametrize("change", [in_parts, as_torch_file, without("preprocessor_config.json")])
def test_a_whole_base_in_any_format_loads_as_the_same(base: Path, small_base: Path, change: Break) -> None:
    change(base)
    assert (
        FrozenBase.load(str(base), dtype=torch.float32).fingerprint()
        == FrozenBase.load(str(small_base), dtype=torch.float32).fingerprint()
    )


def test_a_checkpoint_of_before_torchs_archives_loads(base: Path, small_base: Path) -> None:
    as_torch_file(base)
    weights = torch.load(base / "pytorch_model.bin", weights_only=True)
    torch.save(weights, base / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    encoder.check_files(str(base), load_base_config(str(base)), name="the base")


def test_nan_in_what_is_left_aside_is_no_matter(base: Path) -> None:
    """Quantizers and heads of the checkpoint are not used."""
    tensors = safetensors.torch.load_file(base / WEIGHTS)
    other = next(name for name in tensors if not name.startswith("wav2vec2."))
    nan_in(other)(base)
    FrozenBase.load(str(base), dtype=torch.float32)


def test_large_weights_are_finite(base: Path) -> None:
    nan_in(NORM, 3e38)(base)
    FrozenBase.load(str(base), dtype=torch.float32)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5000),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.lists(st.integers(-1, 20), max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
KEYS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "conv_dim"),
    *("conv_kernel", "conv_stride", "conv_bias", "feat_extract_norm", "feat_extract_activation", "layer_norm_eps"),
    *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "num_feat_extract_layers", "do_stable_layer_norm"),
    *("add_adapter", "adapter_attn_dim", "mask_time_prob", "vocab_size", "pad_token_id", "model_type", "dtype"),
    *("architectures", "attn_implementation", "quantization_config", "auto_map", "id2label", "num_labels"),
    *("hidden_dropout", "layerdrop", "transformers_version", "torch_dtype", "_name_or_path", "is_encoder_decoder"),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=2))
def test_no_value_in_config_json_gives_a_traceback(base: Path, small_base: Path, changes: dict[str, Any]) -> None:
    (base / CONFIG).write_bytes((small_base / CONFIG).read_bytes())
    with_config(**changes)(base)
    load_or_refuse(base)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([CONFIG, WEIGHTS]),
    at=st.integers(0, 6000),
    put=st.binary(max_size=6),
    left=st.one_of(st.none(), st.floats(0, 1)),
)
def test_no_damage_to_a_file_gives_a_traceback(
    base: Path, small_base: Path, name: str, at: int, put: bytes, left: float | None
) -> None:
    for each in (CONFIG, WEIGHTS):
        (base / each).write_bytes((small_base / each).read_bytes())
    content = bytearray((base / name).read_bytes())
    content[at : at + len(put)] = put
    (base / name).write_bytes(content if left is None else content[: int(len(content) * left)])
    load_or_refuse(base)


def load_or_refuse(base: Path) -> None:
    try:
        FrozenBase.load(str(base), dtype=torch.float32)
    except BaseModelError as error:
        assert str(error)
