"""A configuration with many faults tells all of them, and what is right in it is kept."""

from pathlib import Path

import pytest

from mms_dist.config import Config, load_config
from mms_dist.config.load import validate_all
from mms_dist.errors import ConfigError

FAULTY = """
nonsense: 3
run: 5
data: {shards: there}
optim: {learning_rate: 3, lr: abc, betas: [0.9, 2], clip_norm: 0.5}
languages:
  ron: {optim: {lr: -1}}
  ita: {optim: {rate: 1, steps: 5}, bar: {a: 1}}
  rus: {stopping: {patience: 2}}
"""


def test_every_fault_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_text(FAULTY)
    config, problems = validate_all(path, ["--optim.eps", "0"])
    for place in (
        *("'nonsense'", "run: found 5", "'optim.learning_rate'", "optim.lr: found 'abc'", "optim.betas.1: found 2"),
        *("optim.eps: found 0", "languages.ron.*.lr: found -1", "'languages.ita.optim.rate'", "'languages.ita.bar'"),
        "languages.ita.optim: found warmup_steps 100 and steps 5",
    ):
        assert sum(place in str(problem) for problem in problems) == 1, place
    assert len(problems) == 10
    assert config.data.shards == "there"
    assert config.optim.clip_norm == 0.5
    assert (config.optim.lr, config.run) == (Config().optim.lr, Config().run)
    assert config.languages == {"ita": {"optim": {"steps": 5}}, "rus": {"stopping": {"patience": 2}}}


@pytest.mark.parametrize("name", ["mms-300m", "mms-1b-all"])
def test_a_good_configuration_is_what_the_run_reads(name: str) -> None:
    path = Path(__file__).parents[3] / "configs" / "train" / f"{name}.yaml"
    assert validate_all(path, ["--optim.lr", "5e-4"]) == (load_config(path, ["--optim.lr", "5e-4"]), [])


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00"])
def test_what_is_no_configuration_at_all_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "none.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        validate_all(path)
