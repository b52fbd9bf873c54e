"""Runs that several modules read."""

from pathlib import Path

import pytest

from tests.report_samples import write_run


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five languages, trained to the end and scored on test."""
    return write_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="package")
def run_in_progress(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six languages: two have finished, two train and two wait; nothing is scored apart from training."""
    return write_run(tmp_path_factory.mktemp("report-in-progress"), languages=6, evaluated=False, ended=False)
