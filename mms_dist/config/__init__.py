"""The configuration of a run: frozen dataclasses, read from YAML, overridable by dotted flags."""

from mms_dist.config.load import load_config, parse_config
from mms_dist.config.schema import (
    Adapter,
    Augment,
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
