"""The configuration of a run: frozen dataclasses, read from YAML, with dotted flags as overrides."""

from mms_dist.config.load import load_config, parse_config
from mms_dist.config.schema import (
    Adapter,
    Augment,
    Balance,
    Checkpoint,
    Config,
    Data,
    Evaluation,
    LanguageSettings,
    Model,
    Optim,
    Rounds,
    Run,
    Stopping,
)

__all__ = [
    "Adapter",
    "Augment",
    "Balance",
    "Checkpoint",
    "Config",
    "Data",
    "Evaluation",
    "LanguageSettings",
    "Model",
    "Optim",
    "Rounds",
    "Run",
    "Stopping",
    "load_config",
    "parse_config",
]
