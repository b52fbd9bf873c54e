"""The shipped base is what the rest of the project takes it for, and the script that trained it runs."""

import json

import numpy as np
import torch
from safetensors import safe_open
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Model

from mms_dist.tiny_mms import TINY_MMS_FOLDER
from tools.tiny_mms.augmentation import augmented, normalized, time_mask
from tools.tiny_mms.languages import BASE_LANGUAGES, DEMO_VOICES, UNSEEN_LANGUAGES
from tools.tiny_mms.phones import PhoneInventory, decompose, frame_count
from tools.tiny_mms.texts import clean

LARGEST_WEIGHTS_BYTES = 12_000_000


def test_the_weights_are_small_and_whole() -> None:
    path = TINY_MMS_FOLDER / "model.safetensors"
    assert path.stat().st_size <= LARGEST_WEIGHTS_BYTES
    with safe_open(path, "pt") as file:
        assert "masked_spec_embed" in file.keys()  # noqa: SIM118 (safe_open is no mapping)
        for name in file.keys():  # noqa: SIM118
            assert torch.isfinite(file.get_tensor(name)).all(), name
        assert file.get_tensor("masked_spec_embed").abs().sum() > 0


def test_hugging_face_loads_it_with_only_head_and_adapters_new() -> None:
    model, report = Wav2Vec2ForCTC.from_pretrained(
        TINY_MMS_FOLDER,
        adapter_attn_dim=16,
        vocab_size=40,
        pad_token_id=0,
        layerdrop=0.0,
        ctc_zero_infinity=True,
        output_loading_info=True,
    )
    assert not report["unexpected_keys"] and not report["mismatched_keys"]
    assert report["missing_keys"]
    assert all(".adapter_layer." in name or name.startswith("lm_head.") for name in report["missing_keys"])
    assert model.dtype == torch.float32
    base = sum(parameter.numel() for parameter in model.wav2vec2.parameters())
    assert 2_900_000 < base < 3_300_000


def test_it_has_the_shape_of_mms() -> None:
    config = Wav2Vec2Config.from_pretrained(TINY_MMS_FOLDER)
    assert config.do_stable_layer_norm and config.feat_extract_norm == "layer" and config.conv_bias
    assert config.inputs_to_logits_ratio == 320
    assert (list(config.conv_kernel), list(config.conv_stride)) == (
        [10, 3, 3, 3, 3, 2, 2],
        [5, 2, 2, 2, 2, 2, 2],
    )
    assert config.layerdrop == 0.0 and config.mask_time_prob > 0
    settings = json.loads((TINY_MMS_FOLDER / "config.json").read_text(encoding="utf-8"))
    assert settings.get("adapter_attn_dim") is None  # as facebook/mms-300m: adapters are the user's choice


def test_it_makes_a_frame_of_every_320_samples_as_the_labels_assume() -> None:
    model = Wav2Vec2Model.from_pretrained(TINY_MMS_FOLDER).eval()
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(TINY_MMS_FOLDER)
    assert extractor.do_normalize and extractor.return_attention_mask and extractor.sampling_rate == 16_000
    for samples in (400, 16_000, 31_999):
        audio_T = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
        inputs = extractor(audio_T, sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            hidden_BTH = model(**inputs).last_hidden_state
        assert hidden_BTH.shape == (1, frame_count(samples), 192)
        assert torch.isfinite(hidden_BTH).all()


def test_the_demo_languages_were_not_heard() -> None:
    heard = {language.voice.split("-")[0] for language in BASE_LANGUAGES}
    unseen = {language.voice for language in UNSEEN_LANGUAGES} | {voice.split("-")[0] for voice in DEMO_VOICES.values()}
    assert heard.isdisjoint(unseen)
    assert heard.isdisjoint({"en", "es", "fr", "it", "ru", "ro", "ka", "uk", "lt"})
    assert len(heard) >= 14


def test_the_card_tells_data_time_and_error_rates() -> None:
    card = (TINY_MMS_FOLDER / "README.md").read_text(encoding="utf-8").casefold()
    for needed in ("licence", "hours", "seconds", "phone error rate", "limits", "espeak", "czech", "dutch"):
        assert needed in card, needed


def test_phones_lose_stress_and_length_but_not_nasality() -> None:
    assert decompose("ˈɔø") == ["ɔ", "ø"]
    assert decompose("tʃ") == ["t", "ʃ"]
    assert decompose("ɐ̃ː") == ["ɐ", "\N{COMBINING TILDE}"]
    assert decompose("5") == [] and decompose("") == []


def test_phones_of_one_sound_have_one_name_in_all_languages() -> None:
    assert decompose("tS") == decompose("tʃ")
    assert decompose("ɾ") == decompose("r")
    assert decompose("ʔ") == []


def test_frame_labels_follow_the_phones_positions() -> None:
    inventory = PhoneInventory(["a", "b"])
    samples = 16_000
    labels_F = inventory.frames_F([("a", 0), ("", 2500), ("b", 5000), ("", 7500)], 2.0, samples)
    assert len(labels_F) == frame_count(samples)
    centres_F = (np.arange(len(labels_F)) * 320 + 200) / 2.0
    expected_F = np.select([centres_F < 2500, centres_F < 5000, centres_F < 7500], [1, 0, 2], 0)
    assert np.array_equal(labels_F, expected_F)


def test_catalogue_strings_lose_placeholders_and_mark_up() -> None:
    assert clean("Delete %(count)d of {total} <b>files</b>… 17 times!") == ["Delete", "of", "files", "times"]


def test_augmentation_keeps_length_padding_and_normalisation() -> None:
    generator = torch.Generator().manual_seed(0)
    samples_B = torch.tensor([8000, 5000])
    audio_BT = normalized(torch.randn(2, 8000, generator=generator), samples_B)
    changed_BT = augmented(audio_BT, samples_B, generator)
    assert changed_BT.shape == audio_BT.shape and not torch.allclose(changed_BT, audio_BT, atol=1e-2)
    assert torch.all(changed_BT[1, 5000:] == 0)
    assert changed_BT[1, :5000].mean().abs() < 1e-4 and abs(changed_BT[1, :5000].std() - 1) < 1e-2


def test_time_masks_stay_inside_each_utterance_and_near_the_asked_fraction() -> None:
    frames_B = torch.tensor([200, 50, 3])
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([time_mask(frames_B, 0.1, generator) for _ in range(50)])
    for row, frames in enumerate(frames_B.tolist()):
        assert not masks[:, row, frames:].any()
    assert 0.06 < masks[:, 0].float().mean() < 0.12
