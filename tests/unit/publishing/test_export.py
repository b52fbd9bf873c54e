"""What an export holds is what Hugging Face's classes load, and no folder is lost to it."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC, Wav2Vec2Model, Wav2Vec2Processor

from launcher import cli
from mms_dist.checkpoint.adapter_file import read_adapter
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import BaseModelError, CheckpointError
from mms_dist.model.adapter import AdapterShape
from mms_dist.publishing.export import export_run
from tests.base_samples import OWN_LANGUAGES, save_as_old_checkpoint, save_like_mms_1b_all
from tests.checkpoint_samples import sample
from tests.conftest import small_base_config
from tests.unit.publishing.conftest import SIZES


@pytest.fixture
def audio() -> list:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(samples, generator=generator).numpy() for samples in (8_000, 5_000)]


def reference(base: Path, run: Path, language: str, step: int) -> Wav2Vec2ForCTC:
    """The base and one adapter, put together from Hugging Face's own modules."""
    snapshot = CheckpointStore(run / "adapters", keep=2).load(language, step=step)
    config = small_base_config(adapter_attn_dim=4, vocab_size=SIZES[language], pad_token_id=0)
    model = Wav2Vec2ForCTC(config)
    own = {f"wav2vec2.{k}": v for k, v in Wav2Vec2Model.from_pretrained(base).state_dict().items()}
    model.load_state_dict(own | {name: tensor.float() for name, tensor in snapshot.adapter.items()}, strict=True)
    return model.eval()


def logits(model: Wav2Vec2ForCTC, processor: Wav2Vec2Processor, audio: list) -> torch.Tensor:
    inputs = processor(audio, sampling_rate=16_000, return_tensors="pt", padding=True)
    assert "attention_mask" in inputs
    with torch.inference_mode():
        return model.eval()(**inputs).logits


def expected_step(language: str) -> int:
    return 1 if language == "ron" else 2


def load(folder: Path, language: str, **options: bool) -> tuple[Wav2Vec2ForCTC, Wav2Vec2Processor]:
    model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang=language, local_files_only=True, **options)
    return model, Wav2Vec2Processor.from_pretrained(folder, target_lang=language, local_files_only=True)


@pytest.mark.parametrize("options", [{}, {"ignore_mismatched_sizes": True}])
@pytest.mark.parametrize("language", SIZES)
def test_hugging_face_gives_the_same_logits_and_text_for_every_language(run, small_base, audio, language, options):
    report = export_run(run, base_path=str(small_base))
    assert report.folder == run / "export"
    model, processor = load(report.folder, language, **options)
    wanted = reference(small_base, run, language, expected_step(language))
    assert model.config.vocab_size == SIZES[language]
    found = logits(model, processor, audio)
    assert torch.allclose(found, logits(wanted, processor, audio), rtol=0, atol=1e-6)
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(report.folder, target_lang=language, local_files_only=True)
    assert tokenizer("a b").input_ids == processor.tokenizer("a b").input_ids == [5, 4, 6]
    assert processor.decode([5, 5, 0, 5, 4, 4, 6]) == tokenizer.decode([5, 5, 0, 5, 4, 4, 6]) == "aa b"
    assert processor.batch_decode(found.argmax(-1)) == tokenizer.batch_decode(found.argmax(-1))


def test_switching_the_language_is_the_same_as_loading_it(run, small_base, audio):
    folder = export_run(run, base_path=str(small_base)).folder
    model, processor = load(folder, "ita")
    for language in ("ron", "ita", "srp-script_latin", "ron"):
        processor.tokenizer.set_target_lang(language)
        model.load_adapter(language, local_files_only=True)
        fresh_model, fresh_processor = load(folder, language)
        assert torch.equal(logits(model, processor, audio), logits(fresh_model, fresh_processor, audio))
        assert processor.tokenizer.encoder == fresh_processor.tokenizer.encoder
        assert len(processor.tokenizer.encoder) == SIZES[language]


def test_loading_without_a_language_lacks_nothing_and_gives_the_first(run, small_base, audio, caplog):
    folder = export_run(run, base_path=str(small_base)).folder
    model, found = Wav2Vec2ForCTC.from_pretrained(folder, output_loading_info=True)
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    processor = Wav2Vec2Processor.from_pretrained(folder)
    expected = logits(reference(small_base, run, "ita", 2), processor, audio)
    assert torch.allclose(logits(model, processor, audio), expected, rtol=0, atol=1e-6)


def test_an_export_saved_again_by_hugging_face_is_unchanged(run, small_base, audio, tmp_path):
    model, processor = load(export_run(run, base_path=str(small_base)).folder, "ron")
    again = tmp_path / "again"
    model.save_pretrained(again)
    processor.save_pretrained(again)
    shutil.copy(run / "export" / "adapter.ron.safetensors", again)
    model_again, processor_again = load(again, "ron")
    assert torch.equal(logits(model, processor, audio), logits(model_again, processor_again, audio))


def test_an_export_has_the_bytes_that_hugging_face_would_save(run, small_base, tmp_path):
    folder = export_run(run, base_path=str(small_base)).folder
    Wav2Vec2ForCTC.from_pretrained(folder, local_files_only=True).save_pretrained(tmp_path / "theirs")
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["config.json", "model.safetensors"]
    for name in ("config.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_the_configuration_says_what_the_adapters_need(run, small_base):
    folder = export_run(run, base_path=str(small_base)).folder
    config = json.loads((folder / "config.json").read_text())
    assert (config["adapter_attn_dim"], config["vocab_size"], config["pad_token_id"]) == (4, 20, 0)
    assert (config["layerdrop"], config["ctc_loss_reduction"], config["ctc_zero_infinity"]) == (0.0, "mean", True)
    assert config["architectures"] == ["Wav2Vec2ForCTC"]
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text())
    assert preprocessor["do_normalize"] and preprocessor["return_attention_mask"]
    assert set(json.loads((folder / "vocab.json").read_text())) == set(SIZES)
    assert {p.name for p in folder.glob("adapter.*")} == {f"adapter.{x}.safetensors" for x in SIZES}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_base_has_the_requested_dtype_and_adapters_stay_float32(run, small_base, dtype):
    folder = export_run(run, base_path=str(small_base), dtype=dtype, languages=["ron"]).folder
    model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang="ron")
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    adapter = read_adapter(folder / "adapter.ron.safetensors", layers=2, hidden=32, dim=4, vocabulary_size=31)
    assert {t.dtype for t in adapter.values()} == {torch.float32}


def test_a_bases_own_head_adapters_and_tokenizer_are_not_exported(run, tmp_path, small_base, audio):
    """As facebook/mms-1b-all: another adapter dimension, other vocabularies, and a Romanian of its own."""
    other = tmp_path / "other"
    save_like_mms_1b_all(other, small_base)
    own_model, own_processor = load(other, "ron")
    assert len(own_processor.tokenizer.encoder) == own_model.config.vocab_size == OWN_LANGUAGES["ron"] != SIZES["ron"]
    folder = export_run(run, base_path=str(other)).folder
    assert {p.name for p in folder.glob("adapter.*")} == {f"adapter.{x}.safetensors" for x in SIZES}
    assert {x: len(tokens) for x, tokens in json.loads((folder / "vocab.json").read_text()).items()} == SIZES
    assert json.loads((folder / "tokenizer_config.json").read_text())["target_lang"] in SIZES
    for language in SIZES:
        model, processor = load(folder, language)
        assert len(processor.tokenizer.encoder) == SIZES[language]
        expected = logits(reference(small_base, run, language, expected_step(language)), processor, audio)
        assert torch.allclose(logits(model, processor, audio), expected, rtol=0, atol=1e-6)


def test_a_base_in_an_old_checkpoints_format_is_exported_as_any_other(run, tmp_path, small_base, audio):
    save_as_old_checkpoint(tmp_path / "old", small_base)
    model, processor = load(export_run(run, base_path=str(tmp_path / "old")).folder, "ron")
    expected = logits(reference(small_base, run, "ron", 1), processor, audio)
    assert torch.allclose(logits(model, processor, audio), expected, rtol=0, atol=1e-6)


def test_exporting_again_replaces_the_export_and_leaves_nothing_else(run, small_base):
    first = export_run(run, base_path=str(small_base))
    assert [item.language for item in first.languages] == list(SIZES)
    second = export_run(run, base_path=str(small_base), languages=["ron"], adapters_only=True, pointer="last")
    assert [(item.language, item.step, item.pointer) for item in second.languages] == [("ron", 2, "last")]
    names = {p.name for p in (run / "export").iterdir()}
    assert names == {"adapter.ron.safetensors", "vocab.json", "README.md", "mms-dist-export.json"}
    assert second.bytes == sum(p.stat().st_size for p in (run / "export").iterdir())
    assert {p.name for p in run.iterdir()} == {"adapters", "config.yaml", "export"}


def test_the_program_for_adapters_alone_loads_them_into_the_base(run, small_base, audio, tmp_path):
    folder = export_run(run, base_path=str(small_base), adapters_only=True).folder
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    for ours, name in ((folder, "path/to/this/folder"), (small_base, small_base.name)):
        assert f'"{name}"' in program
        program = program.replace(f'"{name}"', f'"{ours}"')
    soundfile.write(tmp_path / "clip.wav", audio[0], 16_000, subtype="FLOAT")
    after = "\nimport sys\nassert 'mms_dist' not in sys.modules\nprint(model(**inputs).logits.sum().item())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for language in ("ita", "ron"):
        chosen = program.replace('"ita"', f'"{language}"') + after
        command = [sys.executable, "-c", chosen]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        model = reference(small_base, run, language, expected_step(language))
        processor = load(export_run(run, tmp_path / language, base_path=str(small_base)).folder, language)[1]
        expected = logits(model, processor, audio[:1])
        text, total = done.stdout.splitlines()[-2:]
        assert float(total) == pytest.approx(float(expected.sum()), rel=1e-4)
        assert text == processor.batch_decode(expected.argmax(-1))[0]


def test_a_killed_export_is_cleaned_up_and_what_it_replaced_restored(run, small_base):
    export_run(run, base_path=str(small_base), adapters_only=True)
    (run / "export").rename(run / ".export.replaced")
    (run / ".export.staging").mkdir()
    (run / ".export.staging" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"adapter of ita .* does not fit"):
        export_run(run, base_path=str(_other_base(run)))
    assert (run / "export" / "adapter.ron.safetensors").is_file()
    export_run(run, base_path=str(small_base), adapters_only=True)
    assert {p.name for p in run.iterdir()} == {"adapters", "config.yaml", "export", "other-base"}


def _other_base(run: Path) -> Path:
    folder = run / "other-base"
    small_base_config(num_hidden_layers=3).save_pretrained(folder)
    return folder


def test_a_folder_that_is_no_export_is_at_most_renamed(run, small_base, tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    export_run(run, target, base_path=str(small_base), adapters_only=True)  # an empty folder is welcome
    (target / "mms-dist-export.json").unlink()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"exists and is not an export; .*--force.* mine.before-export-1"):
        export_run(run, target, base_path=str(small_base), adapters_only=True)
    export_run(run, target, base_path=str(small_base), adapters_only=True, force=True)
    assert (tmp_path / "mine.before-export-1" / "thesis.tex").read_text() == "years of work"
    assert not (target / "thesis.tex").exists()
    for wrong in (run, run.parent, run / "adapters", run / "adapters" / "ron" / "x", small_base):
        with pytest.raises(CheckpointError, match=r"choose another folder with --to"):
            export_run(run, wrong, base_path=str(small_base), force=True)


def test_two_exports_to_one_folder_do_not_meet(run, small_base, tmp_path):
    from mms_dist.publishing.export_destination import Destination

    with Destination(run / "export", force=False, protected=[]).staging() as staging:
        (staging / "mms-dist-export.json").write_text("{}")
        with pytest.raises(CheckpointError, match=r"another export to .* is running"):
            export_run(run, base_path=str(small_base), adapters_only=True)
    assert (run / "export" / "mms-dist-export.json").read_text() == "{}"


def test_a_damaged_checkpoint_gives_way_and_is_reported(run, small_base):
    path = run / "adapters/ron/step-00000001/state.json"
    path.write_text("{")
    report = export_run(run, base_path=str(small_base), adapters_only=True)
    assert [(item.language, item.step, item.pointer) for item in report.languages] == [
        ("ita", 2, "best"),
        ("ron", 2, "newest"),
        ("srp-script_latin", 2, "last"),
    ]
    assert [damage.path for damage in report.damaged] == [path]


def test_what_cannot_be_exported_is_named_with_the_mend(run, small_base, tmp_path):
    def export(*arguments, **options):
        return export_run(run, *arguments, **({"base_path": str(small_base)} | options))

    with pytest.raises(CheckpointError, match=r"no checkpoint of 'rom' .* did you mean 'ron'\? choose from ita, ron"):
        export(languages=["rom"])
    with pytest.raises(CheckpointError, match=r"found no checkpoint in .*empty/adapters; pass the folder"):
        export_run(tmp_path / "empty", base_path=str(small_base))
    with pytest.raises(BaseModelError, match=r"the base .*nowhere cannot be loaded: .*--adapters-only"):
        export(base_path=str(tmp_path / "nowhere"))
    small_base_config(do_stable_layer_norm=False).save_pretrained(tmp_path / "post-norm")
    with pytest.raises(BaseModelError, match=r"do_stable_layer_norm=false"):
        export(base_path=str(tmp_path / "post-norm"))
    small_base_config(num_hidden_layers=3).save_pretrained(tmp_path / "deeper")
    with pytest.raises(CheckpointError, match=r"ita \(step 2\) does not fit .* found encoder layers 2, expected 3"):
        export(base_path=str(tmp_path / "deeper"))
    with CheckpointStore(run / "adapters", keep=2) as store:
        store.save(sample("ron", 3, shape=AdapterShape(2, 32, 8, 20)), best=True)
    with pytest.raises(CheckpointError, match=r"found adapter dimension 8, expected 4"):
        export()
    assert {p.name for p in run.iterdir()} == {"adapters", "config.yaml"}, "something half-written was left"


def test_the_card_says_how_good_each_language_is_and_under_which_licence(run, small_base, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(small_base, base)
    (base / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    folder = export_run(run, base_path=str(base), pointer="last").folder
    card = (folder / "README.md").read_text()
    assert "license: cc-by-4.0" in card
    assert str(tmp_path) not in card
    assert "- sr\n" in card
    assert "| Italian | ita | 12.3 % | 45.7 % | 2 (last) | 1.50 h | 20 |" in card
    assert "| Romanian | ron | – | – | 2 (last) |" in card, "the last step's weights are not those that were measured"
    assert 'folder, language = "path/to/this/folder", "ita"' in card
    mark = json.loads((folder / "mms-dist-export.json").read_text())
    assert [(x["language"], x["cer"]) for x in mark["languages"]] == [
        ("ita", 0.123), ("ron", None), ("srp-script_latin", 0.123),
    ]  # fmt: skip


def test_the_command_exports_what_it_lists_and_a_dry_run_writes_nothing(run, tmp_path, capsys):
    assert cli.main(["export", str(run), "--dry-run", "--languages", "ron", "ita"]) == 0
    assert not (run / "export").exists()
    assert "nothing written; the export would go to" in capsys.readouterr().out
    assert cli.main(["export", str(run), "--to", str(tmp_path / "out"), "--dtype", "bfloat16"]) == 0
    out = capsys.readouterr().out
    assert f"MB to {tmp_path / 'out'}" in out
    assert "12.3 %" in out
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert cli.main(["export", str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert cli.main(["export", str(run), "--languages", "xyz"]) == 2


def test_every_file_may_be_read_by_whom_the_umask_allows(run, small_base):
    before = os.umask(0o027)
    try:
        folder = export_run(run, base_path=str(small_base)).folder
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o640"}
    assert folder.stat().st_mode & 0o777 == 0o750


def test_the_first_export_of_a_process_says_nothing_of_accelerators(run):
    command = [sys.executable, "-m", "launcher", "export", str(run)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert result.returncode == 0, result.stderr
    assert "accelerator" not in result.stdout + result.stderr


def test_exporting_tells_nothing_about_parts_that_are_left_out_on_purpose(run, small_base, caplog):
    with caplog.at_level(logging.WARNING):
        export_run(run, base_path=str(small_base))
    assert caplog.records == []
