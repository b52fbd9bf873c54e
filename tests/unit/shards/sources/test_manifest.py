"""What a source says is understood, or refused with the line, what was found and what was expected."""

import json
import re

import pytest
import soundfile

from shards.build.candidates import utterance_key
from shards.build.plan import plan_languages
from shards.drops import REASONS
from shards.errors import SourceError
from shards.sources.registry import read_source
from shards.splits import assign_splits
from tests.shard_samples import plans_of, sentence, sound, write_corpus

HEADER = "audio\ttext\tlang\tsplit\tspeaker\tstart\tend\tsource\n"


def manifest_of(tmp_path, content, name="m.tsv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_tsv_and_jsonl_say_the_same(tmp_path):
    tsv = manifest_of(tmp_path, HEADER + "a/b.wav\tun test\tron\tdev\tana\t1.5\t2\tradio\nc.wav\tdoi\tron\t\t\t\t\t\n")
    lines = [
        {"audio": "a/b.wav", "text": "un test", "lang": "ron", "split": "dev", "speaker": "ana", "start": 1.5}
        | {"end": 2, "source": "radio"},
        {"audio": "c.wav", "text": "doi", "lang": "ron"},
    ]
    jsonl = manifest_of(tmp_path, "\n".join(map(json.dumps, lines)), "m.jsonl")
    strip = ("audio", "name", "text", "language", "split", "speaker", "start_seconds", "end_seconds", "source")
    first, second = ([[getattr(row, name) for name in strip] for row in read_source(path)] for path in (tsv, jsonl))
    assert first == second
    assert first[0][0].path == tmp_path / "a/b.wav"


def test_quotes_in_a_tsv_are_letters_of_the_text(tmp_path):
    path = manifest_of(tmp_path, 'audio\ttext\tlang\na.wav\t"Da", zise "el\tron\nb.wav\tnu\tron\n')
    assert [row.text for row in read_source(path)] == ['"Da", zise "el', "nu"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("audio\ttekst\tlang\na\tb\tron\n", r"m.tsv:1: no column 'text'; for 'text' \(did you mean 'tekst'\?\)"),
        ("clips\twords\n", "no column 'audio' and no column 'text' and no column 'lang'.*--lang gives"),
        ("", "m.tsv:1: no column"),
        ("audio\ttext\tlang\n", "has no utterances"),
        ("audio\ttext\tlang\na.wav\tunu\tron\nb.wav\tdoi\n", "m.tsv:3: 2 tab-separated fields, the header has 3"),
        ("audio\ttext\tlang\na.wav\tunu\tno\n", "m.tsv:2: language 'no' may be several"),
        ("audio\ttext\tlang\n\tunu\tron\n", "m.tsv:2: 'audio' is empty"),
        ("audio\ttext\tlang\tsplit\na.wav\tunu\tron\tvalidate\n", "m.tsv:2: split 'validate' is unknown"),
        ("audio\ttext\tlang\tstart\na.wav\tunu\tron\t1:30\n", "m.tsv:2: 'start' is '1:30', expected seconds"),
        ("audio\ttext\tlang\tstart\na.wav\tunu\tron\tnan\n", "m.tsv:2: 'start' is 'nan', expected seconds"),
    ],
)
def test_a_mistake_in_a_tsv_is_named_with_its_line(content, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        read_source(manifest_of(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"audio": "a.wav", "text": "x", "lang": "ron"}\n{"audio"', "m.jsonl:2: not JSON"),
        ('["a.wav"]', "m.jsonl:1: expected one object per line"),
        ('{"audio": "a.wav", "tex": "x", "lang": "ron"}', "m.jsonl:1: no column 'text'.*did you mean 'tex'"),
        ('{"audio": "a.wav", "text": 5, "lang": "ron"}', "m.jsonl:1: 'text' is 5, expected a string"),
    ],
)
def test_a_mistake_in_a_jsonl_is_named_with_its_line(content, message, tmp_path):
    with pytest.raises(SourceError, match=message):
        read_source(manifest_of(tmp_path, content, "m.jsonl"))


def test_a_manifest_not_utf8_or_missing_or_of_another_kind_is_refused(tmp_path):
    (tmp_path / "m.tsv").write_bytes("audio\ttext\tlang\na.wav\tțară\tron\n".encode("iso8859-16"))
    with pytest.raises(SourceError, match="is not UTF-8"):
        read_source(tmp_path / "m.tsv")
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_source(tmp_path / "n.tsv")
    with pytest.raises(SourceError, match=r"no file or folder .*m.list"):
        read_source(tmp_path / "m.list")


def test_one_language_for_all_needs_no_column(tmp_path):
    path = manifest_of(tmp_path, "audio\ttext\na.wav\tunu\n")
    assert next(iter(read_source(path, language="ron"))).language == "ron"


def test_a_folder_gives_language_and_split_by_its_names(tmp_path):
    for name in ("ron/a.wav", "ron/dev/b.flac", "ita/train/c.ogg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(0.5), 16_000)
        path.with_suffix(".txt").write_text("un text\n")
    (tmp_path / "ron" / "a.txt").unlink()
    rows = read_source(tmp_path)
    assert [(row.name, row.language, row.split, row.text) for row in rows] == [
        ("ita/train/c.ogg", "ita", "train", "un text"),
        ("ron/a.wav", "ron", None, None),
        ("ron/dev/b.flac", "ron", "dev", "un text"),
    ]
    assert {row.language for row in read_source(tmp_path, language="ces")} == {"ces"}


def test_a_folder_whose_name_is_no_language_says_to_give_one(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "empty").mkdir()
    soundfile.write(tmp_path / "clips" / "a.wav", sound(0.5), 16_000)
    with pytest.raises(SourceError, match=r"language code 'clips'.*pass --lang"):
        read_source(tmp_path)
    with pytest.raises(SourceError, match="no recording below"):
        read_source(tmp_path / "empty")


def test_missing_recordings_are_named_with_their_line_unless_skipped(tmp_path):
    manifest = write_corpus(tmp_path, extra=[{"audio": "gone.wav", "text": "plecat", "lang": "ron"}])
    found = str(plans_of(manifest).failed["ron"])
    assert re.search(r"1 recording missing, the first is .*gone.wav .*corpus.jsonl:21", found)
    (plan,) = plans_of(manifest, skip_missing_audio=True)
    assert plan.drops["missing_audio"] == 1
    assert plan.total == 20


def test_a_language_without_training_utterances_is_an_error_that_says_why(tmp_path):
    extra = [{"audio": "ron/clip000.wav", "text": "[x]", "lang": "ita"}]
    plans = plans_of(write_corpus(tmp_path, extra=extra))
    assert list(plans.totals) == ["ron"]
    assert "no training utterances left in ita: left out 1 markup" in str(plans.failed["ita"])


def test_every_reason_to_leave_an_utterance_out_has_a_meaning_and_a_fix():
    assert all(reason.meaning and reason.fix for reason in REASONS.values())


def test_no_sentence_is_in_two_splits_and_none_moves_when_the_corpus_grows():
    texts = [sentence(number) for number in range(3000)]
    small = assign_splits([(text, None) for text in texts[:1500]], 0.1, 0.05)
    large = assign_splits([(text, None) for text in texts + texts], 0.1, 0.05)
    assert all(large[text] == split for text, split in small.items())
    shares = [sum(split == name for split in large.values()) / 3000 for name in ("dev", "test")]
    assert shares == [pytest.approx(0.1, abs=0.02), pytest.approx(0.05, abs=0.015)]


def test_a_wanted_split_of_a_tiny_corpus_is_not_empty_and_train_never_is():
    for count in range(3, 12):
        splits = assign_splits([(sentence(number), None) for number in range(count)], 0.1, 0.1)
        assert set(splits.values()) == {"train", "dev", "test"}
    assert set(assign_splits([("a", None)], 0.01, 0.01).values()) == {"train"}
    assert "dev" not in assign_splits([(sentence(number), None) for number in range(50)], 0.0, 0.1).values()


def test_a_sentence_in_several_splits_is_held_out_and_the_rest_counted(tmp_path):
    extra = [
        {"audio": "ron/clip000.wav", "text": "Aceeași!", "lang": "ron", "split": "train", "start": 0, "end": 0.4},
        {"audio": "ron/clip001.wav", "text": "aceeași", "lang": "ron", "split": "test", "start": 0, "end": 0.4},
        {"audio": "ron/clip002.wav", "text": "aceeași.", "lang": "ron", "start": 0, "end": 0.4},
    ]
    (plan,) = plans_of(write_corpus(tmp_path, extra=extra))
    assert plan.drops["text_in_other_split"] == 1
    assert sum(candidate.text == "aceeași" for candidate in plan.candidates["test"]) == 2
    by_split = [{candidate.text for candidate in candidates} for candidates in plan.candidates.values()]
    assert not by_split[0] & by_split[1] | by_split[0] & by_split[2] | by_split[1] & by_split[2]


def test_keys_are_stable_unique_and_safe_as_file_names_everywhere(tmp_path):
    names = ["a/Clip 1.wav", "b/Clip 1.wav", "con.wav", "ţară ăâ.wav", "日本.wav", "x" * 200 + ".wav", "a.b.c.wav"]
    path = manifest_of(tmp_path, "audio\ttext\tlang\n" + "".join(f"{name}\tunu\tron\n" for name in names))
    keys = [utterance_key(row) for row in read_source(path)]
    assert len({key.lower() for key in keys}) == len(names)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and len(key) <= 60 for key in keys)
    assert keys[0].startswith("clip_1-")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    assert [utterance_key(row) for row in read_source(path.rename(moved / "n.tsv"))] == keys


def test_the_same_stretch_twice_is_kept_once(tmp_path):
    extra = [{"audio": "ron/clip000.wav", "text": sentence(0, 3), "lang": "ron"}]
    (plan,) = plan_languages(read_source(write_corpus(tmp_path, extra=extra)), dev_fraction=0.1, test_fraction=0.1)
    assert plan.drops["duplicate"] == 1
    assert plan.total == 20


@pytest.mark.parametrize("splits", [("train", "test"), ("test", "train"), ("", "test"), ("test", "")])
def test_a_recording_that_is_given_to_test_as_well_is_never_trained_on(splits, tmp_path):
    extra = [
        {"audio": "ron/clip000.wav", "text": text, "lang": "ron", "split": split, "start": 0, "end": 0.4}
        for text, split in zip(("unu", "doi"), splits, strict=True)
    ]
    (plan,) = plans_of(write_corpus(tmp_path, extra=extra))
    assert plan.drops["duplicate"] == 1
    assert [candidate.text for candidate in plan.candidates["test"] if candidate.end_seconds] == ["unu"]


@pytest.mark.parametrize("value", ["true", "false", "1" + "0" * 400])
def test_a_truth_value_is_no_number_of_seconds(tmp_path, value):
    path = tmp_path / "m.jsonl"
    path.write_text(f'{{"audio": "a.wav", "text": "unu", "lang": "ron", "start": {value}}}\n')
    with pytest.raises(SourceError, match=r"m\.jsonl:1: 'start' is .*, expected seconds"):
        read_source(path)
