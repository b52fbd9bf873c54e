"""Whether the warning before the end of a job's time leaves enough of it."""

from pathlib import Path

import pytest

from launcher.slurm.lead_time import LeadTime, lead_seconds_of, measured_lead_time, signal_of_job
from tests.monitor_samples import MetricsWriter, a_round

SCRIPT = (Path(__file__).parents[4] / "slurm" / "train.sbatch").read_text()


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("#SBATCH --signal=B:USR1@600", 600),
        ("#SBATCH --time=1 --signal=B:USR1@90", 90),
        ("#SBATCH --signal=USR1", 60),
        ("#SBATCH --signal B:USR1@90  # early", 90),
        ('#SBATCH --signal="B:USR1@90"', 90),
        ("#SBATCH --signal=B:USR1@60\n#SBATCH --signal=B:USR1@600", 600),
        ("#SBATCH --time=1 # --signal=B:USR1@600", None),
        ("#SBATCH --comment='x --signal=USR1@9'", None),
        ("srun first\n#SBATCH --signal=B:USR1@600", None),
        ("# --signal=B:USR1@600", None),
        ("", None),
    ],
)
def test_the_lead_is_read_from_the_script(line: str, seconds: int | None) -> None:
    assert lead_seconds_of(signal_of_job(f"#!/bin/bash\n{line}\nsrun true\n", {})) == seconds


def test_sbatchs_variable_overrides_the_signal_of_the_script() -> None:
    script = "#!/bin/bash\n#SBATCH --signal=B:USR1@600\n"
    assert signal_of_job(script, {"SBATCH_SIGNAL": "B:USR1@90"}) == "B:USR1@90"
    assert signal_of_job(script, {"SBATCH_SIGNAL": ""}) == "B:USR1@600"


def test_the_shipped_script_warns_early_enough_to_be_told_of() -> None:
    assert lead_seconds_of(signal_of_job(SCRIPT, {})) == 600


def test_a_lead_that_is_too_short_names_the_one_to_ask_for() -> None:
    enough = LeadTime(lead_seconds=600, round_seconds=500, save_seconds=60)
    assert enough.is_enough
    assert "enough" in enough.advice
    short = LeadTime(lead_seconds=600, round_seconds=500.2, save_seconds=80)
    assert not short.is_enough
    assert f"--signal=B:USR1@{short.needed_seconds}" in short.advice
    assert LeadTime(short.needed_seconds, 500.2, 80).is_enough


def test_the_longest_round_and_save_of_the_last_attempt_are_measured(tmp_path: Path) -> None:
    assert measured_lead_time(tmp_path, 600) is None
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl"), ("ron",))
    for number, (seconds, save) in enumerate([(2.0, 3.0), (9.0, 1.0), (2.0, 0.0)], start=1):
        writer.round(a_round(number, "ron", seconds=seconds, save_all_seconds=save))
    writer.close()
    lead = measured_lead_time(tmp_path, 600)
    assert lead is not None
    assert (lead.round_seconds, lead.save_seconds) == (pytest.approx(9.0), pytest.approx(3.0))
