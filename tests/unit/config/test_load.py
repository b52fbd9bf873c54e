"""The configuration names what is wrong with it, and what would be right."""

from pathlib import Path

import pytest

from mms_dist.config import Config, load_config, parse_config
from mms_dist.errors import ConfigError


def test_a_configuration_survives_its_own_yaml(tmp_path: Path) -> None:
    config = parse_config({"optim": {"lr": 5e-4}, "languages": {"ron": {"optim": {"lr": 2e-3}}}})
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "c.yaml") == config


def test_flags_override_the_file_and_read_scientific_notation(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("optim: {lr: 1e-3, steps: 10}\n")
    config = load_config(
        tmp_path / "c.yaml", ["--optim.lr", "5e-4", "--languages.ron.optim.steps=7", "--optim.warmup_steps=0"]
    )
    assert config.optim.lr == 5e-4
    assert config.for_language("ron").optim.steps == 7
    assert config.for_language("ita").optim.steps == 10


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"optim": {"learnig_rate": 1}}, "unknown key 'optim.learnig_rate'"),
        ({"optim": {"step": 1}}, "did you mean 'steps'"),
        ({"optm": {}}, "did you mean 'optim'"),
        ({"optim": {"lr": "fast"}}, "optim.lr: found 'fast'"),
        ({"optim": {"lr": -1.0}}, "greater than 0"),
        ({"optim": 3}, "expected settings under it"),
        ({"languages": {"ron": {"optim": {"lrr": 1}}}}, "did you mean 'lr'"),
        ({"languages": {"ron": {"model": {}}}}, "unknown key 'languages.ron.model'"),
        ({"languages": {"ron": {"adapter": {"dim": 8}}}}, "cannot be set per language"),
        ({"languages": {"ron": {"optim": {"steps": 0}}}}, "found 0"),
        ({"optim": {"steps": 20, "warmup_steps": 100}}, "lower optim.warmup_steps"),
        ({"languages": {"ron": {"optim": {"steps": 20}}}}, "lower languages.ron.optim.warmup_steps"),
        ({"optim": {"steps": True}}, "not true or false"),
        ({"adapter": {"dim": 0}}, "adapter.dim: found 0; .* greater than or equal to 1$"),
        ({"adapter": {"dim": -16}}, "adapter.dim: found -16; .* greater than or equal to 1$"),
        ({"adapter": {"dim": 1025}}, "adapter.dim: found 1025; .* less than or equal to 1024$"),
        ({"adapter": {"dim": 16.5}}, "adapter.dim: found 16.5"),
        ({"data": {"languages": []}}, "data.languages"),
        ({"rounds": {"forward_seconds": 1e-5}}, "rounds.forward_seconds"),
        ({"balance": {"by": "accent"}}, "balance.by: found 'accent'; expected speaker, source, or tag:"),
        ({"balance": {"by": "tag:"}}, "such as tag:accent"),
        ({"balance": {"cap_seconds": 60}}, "balance: found cap_seconds without groups; set balance.by"),
        ({"balance": {"by": "speaker", "temperature": 0.5}}, "balance.temperature: found 0.5"),
        ({"balance": {"by": "source", "weights": {"radio": 0}}}, "balance.weights.radio: found 0"),
        ({"languages": {"ron": {"balance": {"temperature": 2}}}}, "set languages.ron.balance.by"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_mend(document: dict, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected.replace("(", r"\(")):
        parse_config(document)


def test_balance_is_set_for_the_run_and_for_one_language() -> None:
    flags = ["--balance.by", "tag:accent", "--balance.weights.north", "0.5", "--balance.weights", "{north: 0.5}"]
    config = parse_config({}, [*flags[:4], "--languages.ron.balance.by", "null", "--languages.ita.balance.priority=2"])
    assert config.balance.weights == parse_config({}, flags[:2] + flags[4:]).balance.weights == {"north": 0.5}
    assert config.for_language("ron").balance.by is None, "which switches it off there"
    assert config.for_language("ita").balance.by == "tag:accent" and config.for_language("ita").balance.priority == 2
    assert parse_config({}).balance.by is None


def test_the_bottleneck_is_that_of_mms_unless_another_is_asked_for() -> None:
    assert parse_config({}).adapter.dim == 16
    for dim in (1, 64, 256, 1024):
        assert parse_config({"adapter": {"dim": dim}}).adapter.dim == dim


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"optim": {"lr": "fast", "steps": "many"}})
    assert "optim.lr" in str(caught.value) and "optim.steps" in str(caught.value)


def test_a_flag_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match="has no value"):
        parse_config({}, ["--optim.lr"])


def test_settings_cannot_be_changed_after_validation() -> None:
    config = Config()
    with pytest.raises(AttributeError):
        config.optim.lr = 1.0  # type: ignore[misc]
