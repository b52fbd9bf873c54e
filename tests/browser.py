"""Headless Chromium for tests of pages: Debian's `chromium`, driven by playwright, which brings no browser of its own
here."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required")
"""The sandbox does not work for root, and a script may play audio."""


def unavailable() -> str | None:
    """Why pages cannot be opened here; None if they can."""
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: pip install -e '.[test]'"
    return None if _program() else "there is no Chromium: apt-get install chromium"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where there is none, and fails it in CI, which installs one."""
    reason = unavailable()
    if reason is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_program(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def _program() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)
