"""`mms-dist doctor` and the shards: what is missing, damaged or odd in any language."""

import json
from pathlib import Path

import pytest

from mms_dist.config import load_config
from mms_dist.data.language_summaries import summarise_languages
from shards.errors import IndexFileError
from tests.doctoring import examined, failed, warned


def test_a_flipped_byte_at_the_end_of_a_split_is_found(config: Path, shards: Path) -> None:
    path = shards / "taa" / "train-000000.tar"
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.write_bytes(content)
    told = failed(examined(config))
    assert told.keys() == {"shards"}
    assert "CRC-32" in told["shards"]
    assert "mms-dist shards verify" in told["shards"]


def _overwrite(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(content)


def test_a_damaged_table_hides_no_other_problem_of_the_shards(config: Path, shards: Path) -> None:
    _overwrite(shards / "taa" / "samples.parquet", 40)
    (shards / "tab" / "train-000001.tar").unlink()
    findings = [each for each in examined(config) if each.status == "failed"]
    assert [each.check for each in findings] == ["shards", "shards"]
    table, tar = findings
    assert f"sample table {shards}/taa/samples.parquet cannot be read" in table.found
    assert f"shards build SOURCE {shards} --lang taa --force" in str(table.fix)
    assert "tab/train-000001.tar is missing" in tar.found
    assert f"shards build SOURCE {shards} --lang tab --force" in str(tar.fix)


@pytest.mark.parametrize("offset", [4, 40, -100], ids=["page header", "page", "footer"])
def test_training_calls_a_damaged_table_by_name_and_names_the_fix(config: Path, shards: Path, offset: int) -> None:
    path = shards / "taa" / "samples.parquet"
    _overwrite(path, offset % path.stat().st_size)
    with pytest.raises(IndexFileError, match=r"taa/samples.parquet cannot be read \(.*--lang taa --force") as raised:
        summarise_languages(load_config(config, []))
    assert "\n" not in str(raised.value)


def test_text_that_was_decoded_wrongly_and_a_missing_dev_split_are_told(config: Path, shards: Path) -> None:
    index = json.loads((shards / "taa" / "index.json").read_text())
    index["splits"]["dev"] = {"samples": 0, "seconds": 0, "bytes": 0, "shards": []}
    (shards / "taa" / "index.json").write_text(json.dumps(index))
    _drop_dev(shards / "taa" / "samples.parquet")
    vocabulary = json.loads((shards / "tab" / "vocab.json").read_text())
    vocabulary["tab"]["\ufffd"] = len(vocabulary["tab"])
    (shards / "tab" / "vocab.json").write_text(json.dumps(vocabulary))
    findings = examined(config)
    assert failed(findings) == {}
    told = warned(findings)
    assert told.keys() == {"shards"}
    assert "taa: no dev split" in told["shards"]
    assert "tab: its text contains 1 invalid characters (U+FFFD)" in told["shards"]
    assert "tokens, but its index says" in told["shards"]


def _drop_dev(path: Path) -> None:
    import pyarrow.compute
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.filter(pyarrow.compute.not_equal(table["split"], "dev")), path)


def test_tars_that_lost_their_index_are_not_passed_over_in_silence(config: Path, shards: Path) -> None:
    (shards / "tab" / "index.json").unlink()
    findings = examined(config)
    assert "tab" in warned(findings)["shards"]
    assert "1 languages" in next(each.found for each in findings if (each.check, each.status) == ("shards", "ok"))


def test_the_cache_of_remote_shards_must_be_writable_and_large_enough(config: Path, shards: Path) -> None:
    remote = ["--data.shards", f"pipe:cat {shards}/{{}}", "--data.languages", "[taa]"]
    assert failed(examined(config, *remote)) == {}
    assert "cannot write to" in failed(examined(config, *remote, "--data.cache_directory", "/proc/x"))["shard cache"]
    assert "larger than data.cache_gib" in failed(examined(config, *remote, "--data.cache_gib", "1e-7"))["shard cache"]
