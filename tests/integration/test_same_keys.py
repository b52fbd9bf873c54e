"""Keys are for people: shards whose tars all begin at `000000` train, score and debug as those with a key each.

Every test compares two corpora of the same recordings in the same tars. In one, the keys are the same in every tar of
every split, as one process per shard writes them; in the other no two utterances share a key.
"""

import csv
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from torch import Tensor

from launcher.cli import main
from mms_dist.config import Config
from mms_dist.data.collate import collate
from mms_dist.data.loader import BatchLoader, BatchRequest
from mms_dist.data.stream import Position
from mms_dist.data.training_stream import training_stream
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.evaluation.evaluator import chosen
from mms_dist.model.routed import DeviceInput, RoutedModel
from mms_dist.monitor.events import read_events
from mms_dist.monitor.run_reader import read_run
from shards.audio.codec import decode
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.verify_shard import check_shard
from tests.corpus import speak
from tests.training import final_row, toy_config, train

LANGUAGE = "taa"
TARS = {"train": (6, 6), "dev": (3, 3), "test": (2, 2)}
LETTERS = "abcdef"


def corpus(folder: Path, *, same_keys: bool) -> Path:
    """Tars made elsewhere, indexed; the second tar of a split is recorded by another voice and says other words."""
    random, said = np.random.default_rng(0), 0
    (folder / LANGUAGE).mkdir(parents=True)
    for split, tars in TARS.items():
        for number, count in enumerate(tars):
            with tarfile.open(folder / LANGUAGE / f"{split}-{number}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for item in range(count):
                    text = " ".join(LETTERS[said // 6**place % 6] * 2 for place in range(2 + item % 3))
                    said += 1
                    flac = io.BytesIO()
                    soundfile.write(flac, speak(text, random), 16_000, format="FLAC")
                    key = f"{item:06d}" if same_keys else f"{split}-{number}-{item:06d}"
                    members = {"flac": flac.getvalue(), "json": json.dumps({"text": text, "id": said}).encode()}
                    for name, data in members.items():
                        member = tarfile.TarInfo(f"{key}.{name}")
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
    assert main(["shards", "index", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("same"), same_keys=True)


@pytest.fixture(scope="module")
def unique(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("unique"), same_keys=False)


def config_of(directory: Path, base: Path, shards: Path, *, cache_gib: float = 1.0, **sections: Any) -> Config:
    """Several epochs of SpecAugment and dropout, evaluated on some of the dev split."""
    settings: dict[str, Any] = {
        "model": {"base": str(base), "feature_cache_gib": cache_gib},
        "augment": {"time_prob": 0.3, "time_length": 3, "feature_prob": 0.2, "feature_length": 3},
        "evaluation": {"every_steps": 4, "max_utterances": 4},
    }
    return toy_config(directory, base, shards, **(settings | sections))


def events(directory: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_events(directory / "events.jsonl") if event["kind"] == kind]


def test_the_two_corpora_differ_in_their_keys_alone(same: Path, unique: Path) -> None:
    tables = [ShardIndex.load(str(shards)).language(LANGUAGE) for shards in (same, unique)]
    for split, tars in TARS.items():
        keys, others = (index.table(split).keys.tolist() for index in tables)
        assert len(set(keys)) == max(tars) and len(set(others)) == sum(tars)
        assert tables[0].table(split).samples.tolist() == tables[1].table(split).samples.tolist()


def test_the_feature_cache_gives_the_same_adapter_whatever_the_keys(
    tmp_path: Path, small_base: Path, same: Path, unique: Path
) -> None:
    rows: list[Tensor] = []
    scores = []
    for shards in (unique, same):
        for cache_gib in (0.0, 1.0):
            directory = tmp_path / f"{shards.parent.name}-{cache_gib}"
            train(config_of(directory, small_base, shards, cache_gib=cache_gib))
            rows.append(final_row(directory, LANGUAGE))
            scores.append([(event["step"], event["cer"], event["wer"]) for event in events(directory, "evaluated")])
    assert len(scores[0]) == 4
    assert all(row.equal(rows[0]) for row in rows)
    assert all(measured == scores[0] for measured in scores)


def test_masks_are_drawn_anew_for_every_utterance_and_epoch(
    tmp_path: Path, small_base: Path, same: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[int] = []
    masks: dict[int, Tensor] = {}
    logits = RoutedModel.device_logits

    def watched(self: RoutedModel, batch: DeviceInput) -> Tensor:
        if batch.keys_B is not None and batch.time is not None:
            keys.extend(batch.keys_B.tolist())
            frames_B = batch.frames.valid_BT.sum(1).tolist()
            for key, mask_T, frames in zip(batch.keys_B.tolist(), batch.time, frames_B, strict=True):
                masks[key] = mask_T[:frames]
        return logits(self, batch)

    monkeypatch.setattr(RoutedModel, "device_logits", watched)
    epochs = 6
    steps = epochs * len(training_stream(config_of(tmp_path, small_base, same), index_of(same)).batches(0))
    train(config_of(tmp_path, small_base, same, optim={"steps": steps, "batch_seconds": 4.0, "warmup_steps": 0}))
    assert len(keys) == len(set(keys)) == epochs * sum(TARS["train"])
    patterns = {tuple(mask.tolist()) for mask in masks.values()}
    assert len(patterns) > 0.9 * len(masks)


def index_of(shards: Path) -> Any:
    return ShardIndex.load(str(shards)).language(LANGUAGE)


def read_all(shards: Path, config: Config) -> dict[UtteranceId, tuple[int, str, bytes]]:
    """Every training utterance of an epoch: the key of its random stream, its text and its audio."""
    index = ShardIndex.load(str(shards))
    stream = training_stream(config, index.language(LANGUAGE))
    reader = ShardReader(index)
    vocabularies = {LANGUAGE: index.language(LANGUAGE).vocabulary}
    with BatchLoader(reader, {LANGUAGE: stream}, vocabularies, workers=0) as loader:
        batches = loader.take(BatchRequest(LANGUAGE, Position(1, batch)) for batch in range(len(stream.batches(1))))
    reader.close()
    read = [utterance for batch in batches for utterance in batch.utterances]
    keys = collate(read, seed=7).keys_B.tolist()
    found = {item.id: (key, item.text, item.audio.tobytes()) for item, key in zip(read, keys, strict=True)}
    assert len(found) == len(read)
    return found


def test_settings_that_leave_utterances_out_change_nothing_of_the_others(
    tmp_path: Path, small_base: Path, same: Path, unique: Path
) -> None:
    whole = read_all(same, config_of(tmp_path, small_base, same))
    assert whole == read_all(unique, config_of(tmp_path, small_base, unique))
    lengths = np.sort(index_of(same).table("train").durations)
    some = read_all(same, config_of(tmp_path, small_base, same, data={"max_seconds": float(lengths[6])}))
    assert 0 < len(some) < len(whole) == sum(TARS["train"])
    assert some.items() < whole.items()


def test_every_row_is_read_from_its_own_tar(same: Path) -> None:
    reader = ShardReader(ShardIndex.load(str(same)))
    for split, tars in TARS.items():
        row = 0
        for number, count in enumerate(tars):
            with tarfile.open(same / LANGUAGE / f"{split}-{number}.tar") as tar:
                for item in range(count):
                    info = json.loads(tar.extractfile(f"{item:06d}.json").read())  # type: ignore[union-attr]
                    flac = tar.extractfile(f"{item:06d}.flac").read()  # type: ignore[union-attr]
                    raw = reader.read(LANGUAGE, split, row)
                    assert (raw.key, raw.text, raw.info["id"]) == (f"{item:06d}", info["text"], info["id"])
                    assert np.array_equal(raw.audio, decode(flac))
                    row += 1
    reader.close()


@pytest.mark.parametrize("most", [1, 3, 5])
def test_the_utterances_to_evaluate_are_chosen_one_by_one(same: Path, unique: Path, most: int) -> None:
    def rows(shards: Path, most: int | None = most) -> list[int]:
        return chosen(index_of(shards).table("train"), LANGUAGE, "train", most).rows.tolist()

    assert rows(same) == rows(unique)
    assert len(rows(same)) == most and rows(same) == sorted(set(rows(same)))
    assert set(rows(same, most)) < set(rows(same, most + 1))
    assert rows(same, None) == rows(same, 99) == list(range(sum(TARS["train"])))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_base: Path, same: Path, unique: Path) -> dict[str, Path]:
    """A run on either corpus, with the features cached."""
    runs = {}
    for name, shards in (("same", same), ("unique", unique)):
        runs[name] = tmp_path_factory.mktemp("runs") / name
        train(config_of(runs[name], small_base, shards, optim={"steps": 4, "lr": 1e-5}))
    return runs


def evaluate(run: Path, *flags: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    output, said = run.parent / "scores.json", run.parent / "said.tsv"
    assert main(["eval", str(run), "--output", str(output), "--transcripts", str(said), *flags]) == 0
    with said.open(encoding="utf-8", newline="") as lines:
        return json.loads(output.read_text()), list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("split", ["test", "dev", "train"])
@pytest.mark.parametrize("most", [None, 3])
def test_eval_scores_every_utterance_by_itself_and_tells_its_row(
    trained: dict[str, Path], same: Path, split: str, most: int | None
) -> None:
    flags = ["--split", split, *(["--max-utterances", str(most)] if most else [])]
    (values, said), (others, theirs) = (evaluate(trained[name], *flags) for name in ("same", "unique"))
    assert values["languages"] == others["languages"]
    without_key = [{name: cell for name, cell in row.items() if name != "key"} for row in said]
    assert without_key == [{name: cell for name, cell in row.items() if name != "key"} for row in theirs]
    rows = [int(row["row"]) for row in said]
    assert rows == chosen(index_of(same).table(split), LANGUAGE, split, most).rows.tolist() == sorted(set(rows))
    assert len(rows) == (most or sum(TARS[split]))
    reader = ShardReader(ShardIndex.load(str(same)))
    for row in said:
        raw = reader.read(LANGUAGE, split, int(row["row"]))
        assert (row["key"], row["reference"]) == (raw.key, raw.text)
    reader.close()


def test_damaged_utterances_of_one_key_are_told_and_counted_apart(
    tmp_path: Path, small_base: Path, same: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = damaged_copy(same, tmp_path / "shards", {"train": 2, "dev": 1})
    config = config_of(tmp_path / "run", small_base, shards, evaluation={"every_steps": 4})
    assert train(config) == "finished"
    told = events(tmp_path / "run", "damaged_sample")
    assert sorted((event["split"], event["row"], event["key"], Path(event["shard"]).name) for event in told) == [
        ("dev", 1, "000001", "dev-0.tar"),
        ("dev", 4, "000001", "dev-1.tar"),
        ("train", 2, "000002", "train-0.tar"),
        ("train", 8, "000002", "train-1.tar"),
    ]
    assert all("CRC" in event["reason"] for event in told)
    summary, _ = read_run(tmp_path / "run")
    assert [language.damaged_samples for language in summary.languages] == [4]
    capsys.readouterr()
    values, said = evaluate(tmp_path / "run", "--split", "dev")
    assert [row["row"] for row in said] == ["0", "2", "3", "5"]
    unreadable = values["languages"][LANGUAGE]["unreadable"]
    assert [(each["key"], each["row"], Path(each["shard"]).name) for each in unreadable] == [
        ("000001", 1, "dev-0.tar"),
        ("000001", 4, "dev-1.tar"),
    ]
    printed = capsys.readouterr().out
    assert re.search(r"taa: 2 unreadable: 000001 \(row 1\) in \S+dev-0.tar, 000001 \(row 4\) in \S+dev-1.tar", printed)
    assert main(["shards", "verify", str(shards)]) == 1
    printed = capsys.readouterr().out
    for row, tar in ((2, "train-0.tar"), (8, "train-1.tar")):
        assert re.search(rf"utterance 000002 \(taa, row {row}\) in \S+{tar}: ", printed)


def damaged_copy(shards: Path, folder: Path, items: dict[str, int]) -> Path:
    """A copy in which, of each split, the utterance of this number has a wrong byte in every tar."""
    (folder / LANGUAGE).mkdir(parents=True)
    for path in (shards / LANGUAGE).iterdir():
        (folder / LANGUAGE / path.name).write_bytes(path.read_bytes())
    for split, item in items.items():
        table = index_of(shards).table(split)
        for number, count in enumerate(TARS[split]):
            row = item + number * count
            path = folder / LANGUAGE / f"{split}-{number}.tar"
            content = bytearray(path.read_bytes())
            content[int(table.offset[row]) + 800] ^= 0xFF
            path.write_bytes(content)
    return folder


def test_debug_takes_as_many_utterances_as_rows_and_tells_them_apart(
    tmp_path: Path, small_base: Path, same: Path, unique: Path
) -> None:
    def report(name: str, shards: Path) -> dict[str, Any]:
        values = config_of(tmp_path / name, small_base, shards).to_dict()
        path, output = tmp_path / f"{name}.yaml", tmp_path / f"{name}.json"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        flags = ["--utterances", "8", "--rounds", "2", "--overfit-steps", "2", "--json", str(output)]
        main(["debug", "--config", str(path), *flags])  # too few steps to learn by heart
        return dict(json.loads(output.read_text(encoding="utf-8")))

    found, expected = report("same", same), report("unique", unique)
    rows = [line["row"] for line in found["transcripts"]]
    assert len(rows) == len(set(rows)) == 8
    assert [line["row"] for line in found["route"]] != []
    reader = ShardReader(ShardIndex.load(str(same)))
    assert [line["text"] for line in found["transcripts"]] == [reader.read(LANGUAGE, "train", row).text for row in rows]
    reader.close()
    for section in ("languages", "shapes", "gradients", "overfit"):
        assert found[section] == expected[section], section
    for section in ("transcripts", "route"):
        for report_ in (found, expected):
            for line in report_[section]:
                del line["key"]
        assert found[section] == expected[section], section
    assert [(check["claim"], check["status"]) for check in found["checks"]] == [
        (check["claim"], check["status"]) for check in expected["checks"]
    ]


def test_debug_names_rows_of_the_whole_split_whatever_is_left_out(tmp_path: Path, small_base: Path, same: Path) -> None:
    lengths = np.sort(index_of(same).table("train").durations)
    values = config_of(tmp_path / "run", small_base, same, data={"max_seconds": float(lengths[7])}).to_dict()
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    flags = ["--utterances", "4", "--rounds", "1", "--overfit-steps", "1", "--json", str(tmp_path / "report.json")]
    main(["debug", "--config", str(tmp_path / "c.yaml"), *flags])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    reader = ShardReader(ShardIndex.load(str(same)))
    assert report["transcripts"]
    kept = set(np.flatnonzero(index_of(same).table("train").durations <= lengths[7]).tolist())
    assert kept != set(range(len(kept)))
    for line in report["transcripts"]:
        assert line["row"] in kept
        raw = reader.read(LANGUAGE, "train", line["row"])
        assert (line["key"], line["text"]) == (raw.key, raw.text)
    reader.close()


def test_verify_and_inspect_count_every_utterance(same: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "verify", str(same)]) == 0
    capsys.readouterr()
    assert main(["shards", "inspect", str(same)]) == 0
    assert re.search(rf"\b{sum(TARS['train'])}\b", capsys.readouterr().out)


def test_what_verify_says_of_texts_names_one_utterance_each(same: Path) -> None:
    names = [
        name
        for split, tars in TARS.items()
        for number in range(len(tars))
        for name in check_shard((str(same), LANGUAGE, split, number)).text_digests.values()
    ]
    assert len(set(names)) == len(names) == sum(map(sum, TARS.values()))
    assert "000001 in dev-1.tar, row 4" in names


def test_a_tar_is_not_taken_for_one_of_the_same_name_in_another_folder(
    same: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = damaged_copy(same, tmp_path / "elsewhere", {}) / LANGUAGE
    root = tmp_path / "root"
    (root / LANGUAGE).mkdir(parents=True)
    tars = [str(elsewhere / f"{split}-0.tar") for split in TARS]
    assert main(["shards", "index", str(root), *tars, "--lang", LANGUAGE]) == 0
    assert main(["shards", "verify", str(root)]) == 0
    (root / LANGUAGE / "train-0.tar").write_bytes((elsewhere / "train-1.tar").read_bytes())
    capsys.readouterr()
    assert main(["shards", "verify", str(root)]) == 1
    assert f"{root / LANGUAGE / 'train-0.tar'} is not in the index" in capsys.readouterr().out
    assert main(["shards", "index", str(root), "--lang", LANGUAGE, "--force"]) == 0
    assert main(["shards", "verify", str(root)]) == 0


def test_the_random_streams_of_an_epoch_are_all_different(tmp_path: Path, small_base: Path, same: Path) -> None:
    keys = [key for key, _, _ in read_all(same, config_of(tmp_path, small_base, same)).values()]
    assert len(set(keys)) == len(keys) == sum(TARS["train"])
    assert torch.tensor(keys).dtype == torch.int64
