"""`mms-dist transcribe` with nothing to do says so, and loads no model."""

from pathlib import Path

import pytest

from launcher.cli import main


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "list.tsv").write_text("a.wav\nb.wav\n")
    return ["transcribe", str(tmp_path / "no-model"), "--list", str(tmp_path / "list.tsv"), "--lang", "ron"]


def test_what_is_written_already_needs_no_model(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("")
    assert main([*command, "--to", str(tmp_path)]) == 0
    assert f"2 of 2 recordings are already in {tmp_path}" in capsys.readouterr().err


def test_a_part_without_recordings_needs_no_model(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--part", "2/3"]) == 0
    assert "part 2/3 has no recordings, as there are only 2" in capsys.readouterr().err
