"""A language's model is found in a file, in a folder of many, or named as missing."""

from pathlib import Path

import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.finding import find_model


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_file_is_the_model_of_any_language(tmp_path: Path) -> None:
    touch(tmp_path, "some.arpa")
    assert find_model(tmp_path / "some.arpa", "ron") == tmp_path / "some.arpa"


def test_in_a_folder_the_language_names_the_model_and_binaries_come_first(tmp_path: Path) -> None:
    touch(tmp_path, "ron/lm.arpa.gz", "ron/lm.safetensors", "ron/index.json", "ita.arpa", "srp-script_latin/lm.klm")
    assert find_model(tmp_path, "ron") == tmp_path / "ron" / "lm.safetensors"
    assert find_model(tmp_path, "ita") == tmp_path / "ita.arpa"
    assert find_model(tmp_path, "srp-script_latin").name == "lm.klm"


def test_a_missing_model_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    touch(tmp_path, "ron/lm.arpa.gz", "ita/lm.arpa")
    with pytest.raises(DataError, match=r"no language model of roh \(did you mean 'ron'\?\); .* of ita, ron") as caught:
        find_model(tmp_path, "roh")
    assert caught.value.fix and "lm build SHARDS --lang roh" in caught.value.fix
    with pytest.raises(DataError, match="does not exist"):
        find_model(tmp_path / "none", "ron")
