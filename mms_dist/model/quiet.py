"""Silence Hugging Face's libraries."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Hide progress bars and warnings about unused heads, adapters and quantizers; mms-dist checks what matters."""
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
    """The first line of an error's message, or its type if the message is empty."""
    return str(error).strip().split("\n")[0] or type(error).__name__
