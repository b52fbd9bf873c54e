"""The commands of README lead from an archive of Common Voice to a trained and exported language."""

import csv
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile

from launcher.cli import main
from shards.index import ShardIndex
from tests.layouts.common_voice import SCRIPTED, write_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
UTTERANCES = {"train": 60, "dev": 6, "test": 6}
# What makes the published recipe small enough for a test; everything else is as README has it.
SMALL = [
    *("--model.base", "tiny-mms", "--optim.batch_seconds", "20", "--optim.steps", "10", "--optim.warmup_steps", "1"),
    *("--evaluation.every_steps", "10", "--checkpoint.every_rounds", "10"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Italian recordings of the demo's corpus as a Common Voice archive: 60, 6 and 6 clips, and 8 in no split."""
    folder = tmp_path_factory.mktemp("cv")
    clips = folder / "cv-corpus-22.0-2025-06-20" / "it" / "clips"
    clips.mkdir(parents=True)
    rows: dict[str, list[list[str]]] = {split: [] for split in UTTERANCES}
    spare = []
    with open(ROOT / "shards" / "demo" / "manifest.tsv", encoding="utf-8") as file:
        for number, line in enumerate(csv.DictReader(file, delimiter="\t")):
            own = rows[line["split"]]
            wanted = line["lang"] == "ita" and (len(own) < UTTERANCES[line["split"]] or len(spare) < 8)
            if not wanted:
                continue
            name = f"common_voice_it_{number}.mp3"
            recording = ROOT / "shards" / "demo" / line["audio"]
            rate = soundfile.info(recording).samplerate
            start, stop = (round(float(line[edge]) * rate) for edge in ("start", "end"))
            audio, _ = soundfile.read(recording, start=start, stop=stop)
            soundfile.write(clips / name, audio, rate, format="MP3")
            about = {"client_id": f"{number % 5:x}" * 32, "path": name, "sentence": line["text"], "locale": "it"}
            (own if len(own) < UTTERANCES[line["split"]] else spare).append([about.get(key, "") for key in SCRIPTED])
    tables = {**rows, "validated": [*rows["train"], *rows["dev"], *rows["test"], *spare], "other": []}
    for name, lines in tables.items():
        write_table(clips.parent / f"{name}.tsv", [SCRIPTED, *lines])
    target = folder / "cv-corpus-22.0-2025-06-20-it.tar.gz"
    subprocess.run(["tar", "-C", folder, "-czf", target, "cv-corpus-22.0-2025-06-20"], check=True)
    return target


@pytest.fixture
def work(archive, tmp_path, monkeypatch):
    """A folder with the archive, the configurations that `mms-dist init` writes, and recordings to transcribe."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(archive, tmp_path)
    assert main(["init", "."]) == 0
    clip = next((archive.parent).rglob("*.mp3"))
    audio, rate = soundfile.read(clip)
    soundfile.write("talk.mp3", audio, rate)
    soundfile.write("clip.wav", audio[:: rate // 16_000], 16_000)
    return tmp_path


def numbered_commands(archive: Path) -> list[list[str]]:
    """The commands of README's six steps, for this archive and its language."""
    block = re.search(r"^## Your own data\n\n```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    steps = [line.partition(" # ")[0] for line in block[1].splitlines() if re.search(r" # \d  ", line)]
    assert len(steps) == 6
    found = []
    for command in " && ".join(steps).split("&&"):
        words = [{"recordings.tsv": archive.name, "ron": "ita"}.get(word, word) for word in shlex.split(command)]
        assert words[0] == "mms-dist"
        found.append(words[1:])
    return found


def test_a_common_voice_archive_is_built_trained_and_exported_by_readme(archive, work, capsys):
    build, *others = numbered_commands(archive)
    assert main(build) == 0
    told = capsys.readouterr().out
    assert "common-voice (recognised" in told and "have 72 of the 80 clips in validated.tsv" in told
    index = ShardIndex.load("corpus").language("ita")
    assert {split: index.utterances(split) for split in UTTERANCES} == UTTERANCES
    for words in others:
        assert main([*words, *(SMALL if words[0] in ("debug", "train") else ())]) == 0, words
    assert "CER" in capsys.readouterr().out
    assert Path("runs/mms-300m/export/adapter.ita.safetensors").is_file()
    snippet = re.search(r"^The export needs no mms-dist.*?```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert snippet is not None
    exec(compile(snippet[1].replace('"ron"', '"ita"'), "README.md", "exec"), {})
    assert capsys.readouterr().out.endswith("\n"), "it prints the text of a clip"
