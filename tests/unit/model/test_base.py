"""Bases: what loads, with what left aside, and what is refused with its fix."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2PositionalConvEmbedding

from mms_dist.errors import BaseModelError
from mms_dist.model.base import FrozenBase
from mms_dist.model.frozen_convolutions import FrontEnd, PositionProducts, convolve_all
from tests.base_samples import save_as_old_checkpoint, save_like_mms_1b_all
from tests.conftest import small_base_config


def test_a_pretraining_checkpoint_without_head_tokenizer_or_adapters_loads(small_base: Path) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    theirs = Wav2Vec2ForPreTraining.from_pretrained(small_base).eval()
    audio = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        base.features(audio), theirs.wav2vec2.feature_extractor(audio).transpose(1, 2), rtol=0, atol=1e-5
    )
    assert not any(parameter.requires_grad for parameter in base.module.parameters())


def test_a_checkpoint_with_head_adapters_and_tokenizer_gives_same_encoder(tmp_path: Path, small_base: Path) -> None:
    full = save_like_mms_1b_all(tmp_path, small_base)
    base = FrozenBase.load(str(tmp_path), dtype=torch.float32)
    assert not any("adapter" in name for name, _ in base.module.named_parameters())
    theirs = full.wav2vec2.encoder.layers[1].attention.q_proj.weight
    assert torch.equal(base.module.state_dict()["encoder.layers.1.attention.q_proj.weight"], theirs)
    assert base.fingerprint() == FrozenBase.load(str(small_base), dtype=torch.float32).fingerprint()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pickled_weights_with_old_names_give_the_same_weights(
    tmp_path: Path, small_base: Path, dtype: torch.dtype
) -> None:
    written = save_as_old_checkpoint(tmp_path / "old", small_base)
    assert {name.rpartition(".")[2] for name in written if "pos_conv_embed.conv" in name} == {
        *("weight_g", "weight_v", "bias")
    }
    assert not list((tmp_path / "old").glob("*.safetensors"))
    old, new = (FrozenBase.load(str(path), dtype=dtype) for path in (tmp_path / "old", small_base))
    assert old.fingerprint() == new.fingerprint()
    assert old.weights_hash() == new.weights_hash()


def test_a_base_keeps_the_names_of_its_checkpoint(small_base: Path) -> None:
    """Of which its identity is made, though queries, keys and values are one matrix in memory."""
    theirs = Wav2Vec2ForCTC.from_pretrained(small_base).wav2vec2.state_dict()
    ours = FrozenBase.load(str(small_base), dtype=torch.float32).module.state_dict()
    merged = {name for name in theirs if "parametrizations" in name}
    assert set(ours) == set(theirs) - merged | {"encoder.pos_conv_embed.conv.weight"}
    assert all(torch.equal(ours[name], theirs[name]) for name in set(ours) & set(theirs))


def test_bfloat16_is_kept(small_base: Path) -> None:
    assert FrozenBase.load(str(small_base), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_base_without_a_mask_embedding_masks_with_zeros(tmp_path: Path) -> None:
    Wav2Vec2ForCTC(small_base_config(mask_time_prob=0.0, mask_feature_prob=0.0)).save_pretrained(tmp_path)
    config = Wav2Vec2Config.from_pretrained(tmp_path)
    config.mask_time_prob = 0.05
    config.save_pretrained(tmp_path)
    base = FrozenBase.load(str(tmp_path), dtype=torch.float32)
    features = torch.randn(1, 12, 16)
    every = torch.ones(1, 12, dtype=torch.bool)
    position_only = base.module.encoder.pos_conv_embed(torch.zeros(1, 12, 32))
    torch.testing.assert_close(base.embed(features, every, every, None), position_only)


def test_masked_frames_take_the_bases_embedding_and_channels_are_zero(small_base: Path) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float64)
    features_BTC = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    valid_BT, time_BT, channel_BH = torch.ones(2, 12) > 0, torch.zeros(2, 12) > 0, torch.zeros(2, 32) > 0
    valid_BT[1, 9:] = False
    time_BT[0, 2:5] = time_BT[1, 4:8] = True
    channel_BH[0, 3:7] = channel_BH[1, 20:] = True
    module = base.module
    with torch.no_grad():
        expected_BTH = module.feature_projection(features_BTC)[0].clone()
        expected_BTH[time_BT] = module.masked_spec_embed
        for row in range(2):
            expected_BTH[row][:, channel_BH[row]] = 0
        expected_BTH[~valid_BT] = 0
        expected_BTH += module.encoder.pos_conv_embed(expected_BTH)
    assert base.embed(features_BTC, valid_BT, time_BT, channel_BH).equal(expected_BTH)


def test_dropout_that_the_bases_configuration_asks_for_is_off(tmp_path: Path, small_base: Path) -> None:
    shutil.copytree(small_base, tmp_path / "base")
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    asked = [name for name in config if name.endswith("_dropout")]
    assert {"activation_dropout", "attention_dropout", "feat_proj_dropout", "hidden_dropout"} <= set(asked)
    (tmp_path / "base" / "config.json").write_text(json.dumps(config | dict.fromkeys(asked, 0.5)))
    audio_BN, every_BT = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)), torch.ones(1, 12) > 0
    found = []
    for path in (small_base, tmp_path / "base"):
        base = FrozenBase.load(str(path), dtype=torch.float32)
        found.append(base.layer(0, base.embed(base.features(audio_BN), every_BT, None, None), None))
    assert found[0].equal(found[1])


def test_the_weights_hash_is_fixed_and_depends_on_names_shapes_and_values() -> None:
    """With another one, no run could go on: its checkpoints would be of another base."""

    def weights_hash(**weights: torch.Tensor) -> str:
        return FrozenBase(nn.ParameterDict(weights), None, "", nn.Identity(), nn.Identity()).weights_hash()

    up, down = torch.arange(96.0).view(12, 8) / 7, -torch.arange(5.0)
    assert weights_hash(up=up, down=down) == "07be0add3d414540"
    changed = up.clone()
    changed[7, 7] = 0  # the last of the values that are looked at
    others = [{"up": up, "downs": down}, {"up": up.view(8, 12), "down": down}, {"up": changed, "down": down}]
    assert len({weights_hash(up=up, down=down), *(weights_hash(**other) for other in others)}) == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"do_stable_layer_norm": False}, "do_stable_layer_norm=false"),
        ({"feat_extract_norm": "group"}, "feat_extract_norm='group'"),
    ],
)
def test_a_base_without_a_place_for_adapters_is_refused(tmp_path: Path, changes: dict, expected: str) -> None:
    Wav2Vec2ForCTC(small_base_config(**changes)).save_pretrained(tmp_path)
    with pytest.raises(BaseModelError, match=expected):
        FrozenBase.load(str(tmp_path), dtype=torch.float32)


def test_a_missing_base_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"pass a folder with config\.json"):
        FrozenBase.load(str(tmp_path / "absent"), dtype=torch.float32)


@pytest.mark.parametrize(("name", "expected"), [("tiny-mmss", "did you mean tiny-mms"), ("folder", "without config")])
def test_what_is_no_base_is_named_without_asking_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(BaseModelError, match=expected):
        FrozenBase.load(name, dtype=torch.float32)


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    Wav2Vec2ForCTC(small_base_config()).save_pretrained(tmp_path)
    config = Wav2Vec2Config.from_pretrained(tmp_path)
    config.num_hidden_layers = 3
    config.save_pretrained(tmp_path)
    with pytest.raises(BaseModelError, match="lacks 16 weights"):
        FrozenBase.load(str(tmp_path), dtype=torch.float32)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_strided_front_end_equals_the_librarys(small_base: Path, dtype: torch.dtype, bound: float) -> None:
    base = FrozenBase.load(str(small_base), dtype=dtype)
    for batch, samples in ((1, 400), (3, 16_001), (35, 5_000)):
        audio_BN = torch.randn(batch, samples, generator=torch.Generator().manual_seed(batch)).to(dtype)
        expected_BTC = base.module.feature_extractor(audio_BN).transpose(1, 2)
        torch.testing.assert_close(base.features(audio_BN), expected_BTC, rtol=0, atol=bound)
        products = FrontEnd(base.module.feature_extractor, convolve_all)
        torch.testing.assert_close(products(audio_BN), expected_BTC, rtol=0, atol=bound)


@pytest.mark.parametrize("kernel", [16, 15, 128])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2**-7)])
def test_the_positional_products_equal_the_librarys_convolution(kernel: int, dtype: torch.dtype, bound: float) -> None:
    config: Any = small_base_config(num_conv_pos_embeddings=kernel)
    torch.manual_seed(0)
    embedding = Wav2Vec2PositionalConvEmbedding(config).to(dtype)
    products = PositionProducts(embedding)
    for batch, frames in ((1, 1), (1, 300), (3, 2), (4, 63), (2, 130), (35, 7)):
        hidden_BTH = torch.randn(batch, frames, 32).to(dtype)
        with torch.no_grad():
            torch.testing.assert_close(products(hidden_BTH), embedding(hidden_BTH), rtol=bound, atol=bound)


def test_products_carry_nan_to_no_other_utterance(small_base: Path) -> None:
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    hidden_BTH, audio_BN = torch.randn(3, 40, 32), torch.randn(3, 4_000)
    for function, clean in (
        (PositionProducts(base.module.encoder.pos_conv_embed), hidden_BTH),
        (FrontEnd(base.module.feature_extractor, convolve_all), audio_BN),
    ):
        sick = clean.clone()
        sick[1] = float("nan")
        found, expected = function(sick), function(clean)
        assert torch.equal(found[[0, 2]], expected[[0, 2]]) and found[1].isnan().all()
