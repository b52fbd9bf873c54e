"""What a user can get wrong ends with one clear line, exit code 2, and nothing half-written."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from transformers import Wav2Vec2ForCTC

from launcher.cli import main
from mms_dist.checkpoint.adapter_file import adapter_filename, write_adapter
from mms_dist.model.adapter import AdapterShape
from mms_dist.run_directory.paths import STATUS_NAME
from mms_dist.run_directory.status_file import read_status
from tests.checkpoint_samples import random_adapter
from tests.conftest import small_base_config
from tests.corpus import build_toy_shards
from tests.shard_samples import sound
from tests.training import toy_config


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("bad"), languages=2, train=7, dev=2)


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, small_base: Path, shards: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`mms-dist train` on a good configuration with the given flags; its exit code and what it said."""
    config = tmp_path / "config.yaml"
    config.write_text(toy_config(tmp_path / "run", small_base, shards, optim={"steps": 2, "warmup_steps": 1}).to_yaml())

    def train(*flags: str) -> tuple[int, str]:
        status = main(["train", "--config", str(config), *flags])
        return status, capsys.readouterr().err

    return train


def assert_refused(outcome: tuple[int, str], run: Path, *expected: str) -> None:
    status, message = outcome
    assert status == 2, message
    assert "error: " in message
    for words in expected:
        assert words in message
    assert not run.exists() or {path.name for path in run.iterdir()} <= {STATUS_NAME, "run.lock"}
    refused = read_status(run)
    assert refused is None or (refused.state, refused.exit_code, refused.restart) == ("failed", 2, False)


def test_the_good_configuration_is_good(command: Command, tmp_path: Path) -> None:
    assert command() == (0, "")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--optim.learning_rate", "1"], ["unknown key 'optim.learning_rate'"]),
        (["--optim.step", "1"], ["did you mean 'steps'"]),
        (["--optim.steps", "many"], ["optim.steps", "found 'many'"]),
        (["--data.languages", "[taa, tax]"], ["no shards of language 'tax'", "languages there: taa, tab"]),
        (["--data.shards", "/nowhere"], ["/nowhere"]),
        (["--languages.tax.optim.lr", "1e-3"], ["languages.tax", "the run trains taa, tab"]),
        (["--model.base", "/nowhere"], ["model.base '/nowhere'", "tiny-mms"]),
        (["--run.device", "cuda:7"], ["run.device", "use auto"]),
        (["--run.device", "toaster"], ["run.device", "expected auto, cpu or cuda:N"]),
        (["--data.max_seconds", "0.01"], ["none that can be trained on", "raise data.max_seconds"]),
        (["--adapter.init", "no-such-scheme"], ["neither a scheme"]),
        (["--optim.lr"], ["--optim.lr has no value"]),
    ],
)
def test_a_wrong_setting_is_refused_with_a_fix(
    command: Command, tmp_path: Path, flags: list[str], expected: list[str]
) -> None:
    assert_refused(command(*flags), tmp_path / "run", *expected)


def test_a_missing_configuration_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "absent.yaml"]) == 2
    assert "absent.yaml" in capsys.readouterr().err


def test_a_base_without_stable_layer_norm_is_refused(command: Command, tmp_path: Path) -> None:
    Wav2Vec2ForCTC(small_base_config(do_stable_layer_norm=False)).save_pretrained(tmp_path / "base")
    assert_refused(
        command("--model.base", str(tmp_path / "base")), tmp_path / "run", "do_stable_layer_norm", "tiny-mms"
    )


def test_missing_and_truncated_shards_are_refused(command: Command, tmp_path: Path, shards: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shards, copy)
    victim = copy / "tab" / "train-000000.tar"
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 1024 * 512])
    assert_refused(command("--data.shards", str(copy)), tmp_path / "run", "tab/train-000000.tar", "mms-dist shards")
    victim.unlink()
    assert_refused(command("--data.shards", str(copy)), tmp_path / "run", "tab/train-000000.tar")


def test_an_adapter_whose_head_does_not_fit_the_vocabulary_is_refused(
    command: Command, tmp_path: Path, shards: Path
) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    tokens = len(json.loads((shards / "taa" / "vocab.json").read_text())["taa"])
    config = small_base_config()
    shape = AdapterShape(config.num_hidden_layers, config.hidden_size, 8, tokens + 1)
    write_adapter(folder / adapter_filename("taa"), random_adapter(shape, seed=1))
    flags = ("--adapter.init", str(folder), "--adapter.dim", "8", "--data.languages", "[taa]")
    assert_refused(command(*flags), tmp_path / "run", f"a head of {tokens + 1} tokens", "put its vocab.json into")


def test_a_dry_run_writes_nothing(command: Command, tmp_path: Path) -> None:
    assert command("--dry-run")[0] == 0
    assert not (tmp_path / "run").exists()


def manifest_of(folder: Path, recordings: list[tuple[str, int, str]]) -> Path:
    """A manifest of (text, samples a second, split) in ron, and its recordings of a second."""
    lines = ["audio\ttext\tlang\tsplit"]
    folder.mkdir()
    for number, (text, rate, split) in enumerate(recordings):
        soundfile.write(folder / f"clip{number}.wav", sound(1, rate=rate, seed=number), rate)
        lines.append(f"clip{number}.wav\t{text}\tron\t{split}")
    manifest = folder / "manifest.tsv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


EMPTY = [("", 16_000, ""), ("...", 16_000, ""), ("\u2013", 16_000, "")]
SLOW = [("alpha", 6_000, ""), ("bravo", 6_000, ""), ("charlie", 4_000, "")]
SLOW_BUT_DEV = [("alpha", 6_000, "train"), ("bravo", 16_000, "dev")]


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        (EMPTY, ["left out 3 empty (e.g. clip0.wav: '')", "; give each recording a transcript\n"]),
        (
            SLOW,
            ["left out 3 sample_rate (e.g. clip", "at least 8000 Hz", "; use recordings with a sample rate of 8 kHz"],
        ),
        (
            [*EMPTY, *SLOW],
            ["3 empty", "3 sample_rate", "a transcript, use recordings with a sample rate of 8 kHz or more\n"],
        ),
        (SLOW_BUT_DEV, ["left out 1 sample_rate", "move some of the 1 utterance of dev and test to train"]),
    ],
)
@pytest.mark.parametrize("place", ["shards", "new/shards"])
def test_a_source_without_usable_recordings_says_why_and_leaves_no_shards(
    recordings: list[tuple[str, int, str]],
    expected: list[str],
    place: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = manifest_of(tmp_path / "source", recordings)
    assert main(["shards", "build", str(manifest), str(tmp_path / place), "--workers", "1"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: no training utterances left in ron: left out ")
    assert message.count("\n") == 1
    for words in expected:
        assert words in message
    left = [path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "source" not in path.parents]
    assert [path.name for path in left] in ([], ["failed.json"])
    assert all(list(json.loads(path.read_text())) == ["ron"] for path in left)


def test_a_language_with_nothing_left_overwrites_no_existing_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifest_of(tmp_path / "source", SLOW)
    (tmp_path / "shards").mkdir()
    assert main(["shards", "build", str(manifest), str(tmp_path / "shards"), "--workers", "1"]) == 2
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["failed.json"]
    # beside one that is built
    manifest.write_text(f"{manifest.read_text()}good.wav\tdelta\tita\ttrain\n")
    soundfile.write(manifest.with_name("good.wav"), sound(1), 16_000)
    assert main(["shards", "build", str(manifest), str(tmp_path / "shards"), "--workers", "1"]) == 1
    assert "3 sample_rate" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [".build", "failed.json", "ita"]
    assert sorted(path.name for path in (tmp_path / "shards" / ".build").iterdir()) == ["ita.json", "ita.lock"]


def test_foreign_tars_of_too_low_a_rate_are_refused_and_get_no_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest_of(tmp_path / "source", SLOW)
    tar = tmp_path / "shards" / "ron" / "train-000000.tar"
    tar.parent.mkdir(parents=True)
    with tarfile.open(tar, "w") as archive:
        for number, (text, _, _) in enumerate(SLOW):
            (tmp_path / "clip.txt").write_text(text)
            archive.add(tmp_path / "clip.txt", f"clip{number}.txt")
            archive.add(tmp_path / "source" / f"clip{number}.wav", f"clip{number}.wav")
    assert main(["shards", "index", str(tmp_path / "shards"), "--workers", "1"]) == 2
    message = capsys.readouterr().err
    assert "error: no training utterances left in ron: left out 3 sample_rate" in message
    assert "6000 Hz, expected at least 8000 Hz" in message
    assert "; use recordings with a sample rate of 8 kHz or more" in message
    assert [path.name for path in tar.parent.iterdir()] == [tar.name]
