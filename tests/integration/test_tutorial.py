"""The notebook of the documentation runs: from the demo's corpus to a transcript and a chart."""

from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"
MOST_CELLS = 10
MOST_KB = 100


def test_every_cell_of_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) <= MOST_CELLS
    few_steps = cells[0].replace('["ita", "spa"], 120', '["ita", "spa"], 8')
    assert few_steps != cells[0]
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, cell in enumerate([few_steps, *cells[1:]], start=1):
        exec(compile(cell, f"cell {number} of {NOTEBOOK.name}", "exec"), names)
    told = capsys.readouterr().out
    assert "finished" in told and told.rstrip().splitlines()[-1].startswith("said: ")
    assert {code: learned.latest.step for code, learned in names["history"].languages.items()} == {"ita": 8, "spa": 8}
    assert (tmp_path / "tutorial-run" / "curves.png").stat().st_size > 5_000
    assert "README.md" in names["report"].folders[0].files
    assert [one.language for one in names["report"].languages] == ["ita", "spa"]


def test_the_notebook_is_stored_with_its_outputs_and_small() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    kinds = {kind for cell in notebook.cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert "image/png" in kinds, "a reader on the web sees the chart"
    errors = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    assert errors == [] and NOTEBOOK.stat().st_size < MOST_KB * 1000
