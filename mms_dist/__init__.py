"""mms-dist: many MMS language adapters trained at once on one frozen, shared model.

    from mms_dist import load_config, train, evaluate, export, transcribe

Importing the package alone loads neither torch nor transformers.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate", "export", "load_config", "train", "transcribe"]

_FUNCTIONS = {
    "evaluate": "mms_dist.api",
    "export": "mms_dist.api",
    "load_config": "mms_dist.config",
    "train": "mms_dist.training.run",
    "transcribe": "mms_dist.transcription.transcriber",
}


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FUNCTIONS[name]), name)
