"""Where the shards of one language are written: staged first, then put into place as a whole."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from shards.index.parts import ShardPart
from shards.schema import INDEX_NAME


class LanguageOutput(ABC):
    """The place of one language's shards, and of what a build that was interrupted left.

    Attributes:
        place: the folder of the finished shards, for messages.
        folder: a folder on this machine for the tars while they are written.
        copies: a folder on this machine for recordings that have to be copied first.
    """

    place: str
    folder: Path
    copies: Path

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other builds of this language away. On SourceError, nothing of this build remains.

        Raises:
            ShardsError: another build is writing the language.
        """

    @abstractmethod
    def holds_files(self) -> bool:
        """Whether there is anything at `place`."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read a file at `place`.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Return the length of every file at `place`, by name."""

    @abstractmethod
    def record(self) -> dict[str, Any] | None:
        """Return the state that the shards at `place` were built from; None if they were not built here."""

    @abstractmethod
    def is_interrupted(self) -> bool:
        """Whether a build was interrupted while it put its shards into place."""

    @abstractmethod
    def begin(self, state: dict[str, Any]) -> None:
        """Keep what is staged if it was built from this state, and remove anything else."""

    @abstractmethod
    def finished_part(self, name: str) -> ShardPart | None:
        """Return the record of a staged tar; None if it is not there as a whole."""

    @abstractmethod
    def keep(self, part: ShardPart) -> None:
        """Stage the finished tar `folder / part.info.name`, and record it."""

    @abstractmethod
    def publish(self, tars: Sequence[str], files: Mapping[str, bytes], state: dict[str, Any]) -> None:
        """Put the staged tars and these files into place of all that is there, the last file last."""

    @abstractmethod
    def discard(self) -> None:
        """Remove everything that is staged."""

    def index(self) -> dict[str, Any] | None:
        """Return the content of `index.json` at `place`; None if it is missing or damaged."""
        try:
            return parse_json(self.read(INDEX_NAME))
        except FileNotFoundError:
            return None

    def matches(self, index: Mapping[str, Any]) -> bool:
        """Whether every tar has the length, and every other file the SHA-256, that the index says."""
        try:
            for name, entry in index["files"].items():
                if hashlib.sha256(self.read(name)).hexdigest() != entry["sha256"]:
                    return False
            sizes = self.sizes()
            return all(
                sizes.get(shard["name"]) == shard["bytes"]
                for entry in index["splits"].values()
                for shard in entry["shards"]
            )
        except (FileNotFoundError, KeyError, TypeError, AttributeError):  # a missing file, or an incomplete index
            return False


def parse_json(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None if it is damaged."""
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
