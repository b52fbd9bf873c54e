"""Where a source is: a path on this machine, a dataset on the Hugging Face Hub, or a URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from shards.wording import printable

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_HUB_URL = re.compile(r"hf://datasets/|https://huggingface\.co/datasets/")
# Owner and name as the Hub allows them (huggingface_hub.utils.validate_repo_id), a configuration and a revision.
_HUB_NAME = re.compile(
    r"(?P<repository>[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?/[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?)"
    r"(?::(?P<configuration>[^:@\s]+))?(?:@(?P<revision>[^:@\s]+))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class HubName:
    """A dataset on the Hugging Face Hub, written `owner/name:configuration@revision`; the last two may be left out."""

    repository: str
    configuration: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """A source as the user wrote it. Anything that exists on this machine is a path, whatever else it looks like."""

    written: str

    @property
    def path(self) -> Path:
        """As a path."""
        return Path(self.written)

    @property
    def exists(self) -> bool:
        """Whether it is a file or folder of this machine."""
        return os.path.exists(self.written)

    @property
    def is_url(self) -> bool:
        """Whether it is a URL, of a file that has to be downloaded or of a dataset on the Hub."""
        return _URL.match(self.written) is not None and not self.exists

    @property
    def hub_name(self) -> HubName | None:
        """The dataset on the Hub that it names; None if it exists on this machine or is no such name.

        In a folder of this machine, `folder/name` is a misspelt path; `hf://datasets/folder/name` is on the Hub still.
        """
        name = _HUB_URL.sub("", self.written.rstrip("/"), count=1)
        if self.exists or (name == self.written and os.path.isdir(os.path.dirname(name))):
            return None
        found = _HUB_NAME.fullmatch(name)
        return HubName(**found.groupdict()) if found else None

    def __str__(self) -> str:
        return printable(self.written)
