"""Hugging Face's libraries without what they say on the way."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """No progress bar, and no word on heads, adapters and quantizers left aside: what matters is checked here."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """Of what an error says; its kind if it says nothing."""
    return str(error).strip().split("\n")[0] or type(error).__name__
