"""`mms-dist doctor` and the shards: what is missing, damaged or odd in any language."""

import json
from pathlib import Path

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
    assert "taa: has no dev split" in told["shards"]
    assert "tab: its text holds 1 characters that are no text (U+FFFD)" in told["shards"]
    assert "tokens, its index says" in told["shards"]


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
    assert "cannot be written" in failed(examined(config, *remote, "--data.cache_directory", "/proc/x"))["shard cache"]
    assert "larger than data.cache_gib" in failed(examined(config, *remote, "--data.cache_gib", "1e-7"))["shard cache"]
