"""A process that was told half of its place is refused at once, by the names of the variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mms_dist.distributed.launch_environment import LaunchEnvironment, check_launch_variables
from mms_dist.errors import ConfigError

ROOT = Path(__file__).parents[3]
WHOLE = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "node0", "MASTER_PORT": "29500"}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in WHOLE.items() if name not in names}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (without("RANK"), ["WORLD_SIZE is 2", "RANK is missing"]),
        (WHOLE | {"RANK": ""}, ["RANK is missing"]),
        (WHOLE | {"RANK": "  "}, ["RANK is missing"]),
        ({"WORLD_SIZE": "2"}, ["RANK, MASTER_ADDR and MASTER_PORT are missing"]),
        (without("WORLD_SIZE"), ["RANK is 1", "WORLD_SIZE is missing"]),
        ({"RANK": "0"}, ["RANK is 0", "WORLD_SIZE is missing"]),
        ({"LOCAL_RANK": "1"}, ["LOCAL_RANK is 1", "WORLD_SIZE is missing"]),
        (WHOLE | {"LOCAL_RANK": "-1"}, ["LOCAL_RANK is -1"]),
        (without("MASTER_ADDR"), ["MASTER_ADDR is missing"]),
        (without("MASTER_PORT"), ["MASTER_PORT is missing"]),
        (without("MASTER_ADDR", "MASTER_PORT"), ["MASTER_ADDR and MASTER_PORT are missing"]),
        (WHOLE | {"RANK": "2"}, ["RANK is 2", "WORLD_SIZE is 2", "from 0 to 1"]),
        (WHOLE | {"RANK": "-1"}, ["RANK is '-1'"]),
        (WHOLE | {"RANK": "one"}, ["RANK is 'one'", "whole number"]),
        (WHOLE | {"RANK": "1.0"}, ["RANK is '1.0'"]),
        (WHOLE | {"RANK": "²"}, ["RANK is '²'"]),
        (WHOLE | {"WORLD_SIZE": "0"}, ["WORLD_SIZE is '0'"]),
        (WHOLE | {"WORLD_SIZE": "two"}, ["WORLD_SIZE is 'two'"]),
        (WHOLE | {"LOCAL_RANK": "x"}, ["LOCAL_RANK is 'x'"]),
        (WHOLE | {"LOCAL_RANK": "2"}, ["LOCAL_RANK is 2", "WORLD_SIZE is 2"]),
        (WHOLE | {"LOCAL_WORLD_SIZE": "1"}, ["LOCAL_RANK is 1", "LOCAL_WORLD_SIZE is 1"]),
        (WHOLE | {"LOCAL_WORLD_SIZE": "4"}, ["LOCAL_WORLD_SIZE is 4", "WORLD_SIZE is 2"]),
        (WHOLE | {"MASTER_PORT": "http"}, ["MASTER_PORT is 'http'"]),
        (WHOLE | {"MASTER_PORT": "0"}, ["MASTER_PORT is '0'"]),
        (WHOLE | {"MASTER_PORT": "65536"}, ["MASTER_PORT is 65536", "65535"]),
        ({"WORLD_SIZE": "1", "RANK": "1"}, ["RANK is 1", "WORLD_SIZE is 1"]),
    ],
)
def test_a_place_that_is_half_given_or_cannot_be_is_refused(variables: dict[str, str], named: list[str]) -> None:
    for check in (check_launch_variables, LaunchEnvironment.of):
        with pytest.raises(ConfigError) as refused:
            check(variables)
        assert all(name in str(refused.value) for name in named), str(refused.value)
        assert "torchrun" in str(refused.value), "it says what sets them"


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, LaunchEnvironment()),
        ({"LOCAL_RANK": "-1"}, LaunchEnvironment()),
        ({"LOCAL_RANK": "0", "MASTER_ADDR": "node0"}, LaunchEnvironment(host="node0")),
        ({"WORLD_SIZE": "1"}, LaunchEnvironment()),
        ({"WORLD_SIZE": "", "RANK": ""}, LaunchEnvironment()),
        ({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "-1"}, LaunchEnvironment()),
        (WHOLE, LaunchEnvironment(1, 2, "node0", 29500)),
        (without("LOCAL_RANK"), LaunchEnvironment(1, 2, "node0", 29500)),
        (WHOLE | {"LOCAL_RANK": " "}, LaunchEnvironment(1, 2, "node0", 29500)),
        (
            WHOLE | {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_USE_AGENT_STORE": "True"},
            LaunchEnvironment(1, 2, "node0", 29500, agent_has_store=True),
        ),
    ],
)
def test_a_whole_place_and_none_are_taken(variables: dict[str, str], place: LaunchEnvironment) -> None:
    assert LaunchEnvironment.of(variables) == place


def test_training_refuses_it_before_anything_else_is_loaded(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"run: {{directory: {tmp_path / 'run'}}}\ndata: {{shards: {tmp_path}}}\nmodel: {{base: tiny-mms}}\n"
    )
    program = (
        "import sys\nfrom launcher.cli import main\n"
        f"status = main(['train', '--config', {str(config)!r}])\nprint(status, 'torch' in sys.modules)"
    )
    variables = {name: value for name, value in os.environ.items() if name not in (*WHOLE, "LOCAL_WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables | {"WORLD_SIZE": "2"}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "2 False\n", done.stderr
    assert "RANK" in done.stderr and not (tmp_path / "run").exists()
