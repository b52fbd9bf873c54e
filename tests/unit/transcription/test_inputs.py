"""Recordings are found in files, folders and lists, each with its language, or the error says what is missing."""

import os
from pathlib import Path

import pytest

from mms_dist.data.noise_folder import NoiseFolder
from mms_dist.errors import DataError
from mms_dist.transcription.inputs import check_named, check_outputs, find_items, part_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "deep/b.MP3", "deep/c.txt", ".hidden/d.wav"):
        (tmp_path / "talks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "talks" / name).touch()
    (tmp_path / "list.tsv").write_text("# all of them\ntalks/a.wav\titа\n\ntalks/deep/b.MP3\n".replace("а", "a"))
    return tmp_path


def test_folders_are_searched_for_recordings(folder: Path) -> None:
    items = find_items([str(folder / "talks")], [], "ron")
    assert [(item.name, item.languages, item.output_name) for item in items] == [
        ("a.wav", ("ron",), "a"),
        ("deep/b.MP3", ("ron",), "deep/b"),
    ]


@pytest.mark.parametrize("installed", [True, False])
def test_recordings_that_need_pyav_are_never_left_out(
    tmp_path: Path, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("extensions", "pyav_decoder"):
        monkeypatch.setattr(f"shards.audio.{module}.pyav_is_installed", lambda: installed)
    for name in ("a.wav", "b.m4a", "c.webm"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypM4A " + bytes(64))
    items = find_items([str(tmp_path)], [], "ron")
    assert [item.name for item in items] == ["a.wav", "b.m4a", "c.webm"]
    if not installed:
        with pytest.raises(DataError, match="needs PyAV") as caught:
            check_named(find_items([str(tmp_path / "b.m4a")], [], "ron"))
        assert caught.value.fix and "mms-dist[av]" in caught.value.fix
        with pytest.raises(DataError, match="needs PyAV") as caught:
            NoiseFolder(tmp_path)
        assert caught.value.fix and "mms-dist[av]" in caught.value.fix


def test_lists_may_have_a_language_for_each(folder: Path) -> None:
    items = find_items([], [folder / "list.tsv"], "ron")
    assert [(item.path, item.languages) for item in items] == [
        (folder / "talks/a.wav", ("ita",)),
        (folder / "talks/deep/b.MP3", ("ron",)),
    ]
    (several,) = find_items([str(folder / "talks/a.wav")], [], "ron, hun,ron")
    assert several.languages == ("ron", "hun")
    with pytest.raises(DataError, match=r"list\.tsv:4 has no language"):
        find_items([], [folder / "list.tsv"], None)


def test_files_and_standard_input_are_taken_as_they_are(folder: Path) -> None:
    items = find_items([str(folder / "talks/deep/b.MP3"), "-"], [], "ron")
    assert [item.output_name for item in items] == ["b", "-"] and items[1].path is None
    assert all(item.named for item in items)


def test_what_is_missing_is_said(folder: Path) -> None:
    (folder / "empty.tsv").write_text("\n# nothing\n")
    for places, lists, expected in (
        ([str(folder / "none.wav")], [], "none.wav does not exist"),
        ([], [folder / "empty.tsv"], "is empty"),
        ([], [folder / "none.tsv"], "cannot be read"),
        ([str(folder / "talks/.hidden")], [], None),
        ([], [], "nothing to transcribe"),
    ):
        if expected is None:
            assert find_items(places, lists, "ron")
            continue
        with pytest.raises(DataError, match=expected):
            find_items(places, lists, "ron")
    with pytest.raises(DataError, match="not ISO 639-3"):
        find_items([str(folder / "talks/a.wav")], [], "romanian")


def test_jobs_share_the_recordings_and_no_two_have_one_output(folder: Path) -> None:
    items = find_items([str(folder / "talks")], [], "ron")
    assert part_of(items, 0, 2) + part_of(items, 1, 2) == items
    check_outputs(items)
    (folder / "a.flac").touch()
    with pytest.raises(DataError, match="would both be written to a"):
        check_outputs([*items, *find_items([str(folder / "a.flac")], [], "ron")])


def test_paths_of_a_piped_list_are_relative_to_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    reading, writing = os.pipe()
    os.write(writing, b"talks/a.wav\tron\n")
    os.close(writing)
    (item,) = find_items([], [Path(f"/dev/fd/{reading}")], None)
    os.close(reading)
    assert item.path is not None and item.path.samefile(folder / "talks/a.wav") and item.output_name == "talks/a"
