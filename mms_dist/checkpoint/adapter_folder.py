"""The adapters of a folder that `mms-dist export` wrote, or of an MMS model of Hugging Face."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from torch import Tensor

from mms_dist.checkpoint.adapter_file import adapter_filename, read_adapter
from mms_dist.errors import CheckpointError, DataError
from mms_dist.model.base_files import resolve_base
from shards.errors import first_line
from shards.vocabulary import Vocabulary
from shards.wording import nearest

_SHOWN = 20


class AdapterFolder:
    """Reads adapters with their vocabularies.

    Args:
        place: a folder, or a Hub name such as `facebook/mms-1b-all`; its files are then those of the Hub's cache, or
            are downloaded.
    """

    def __init__(self, place: str) -> None:
        self.place = place

    @property
    def languages(self) -> list[str]:
        """Codes, sorted.

        Raises:
            DataError: there are no adapters.
        """
        return sorted(self._vocabularies)

    @property
    def has_base(self) -> bool:
        """Whether the base is there beside the adapters.

        Raises:
            DataError: this is not known, because the Hub cannot be asked.
        """
        from transformers.utils import cached_file

        try:
            return cached_file(resolve_base(self.place), "config.json") is not None
        except (OSError, ValueError) as error:
            raise DataError(
                f"whether {self.place} has a base or adapters alone is not known, as its config.json cannot be fetched "
                f"({first_line(error)})",
                fix="download it first: hf download OWNER/NAME",
            ) from error

    def load(self, language: str) -> tuple[Mapping[str, Tensor], Vocabulary]:
        """Return the tensors under Hugging Face's names, and the vocabulary of the head.

        Raises:
            CheckpointError: the language is not there, or its adapter is damaged; the nearest code is named.
            DataError: there are no adapters.
        """
        vocabulary = self.vocabulary(language)
        return read_adapter(self._file(adapter_filename(language)), vocabulary_size=len(vocabulary)), vocabulary

    def vocabulary(self, language: str) -> Vocabulary:
        """Return the vocabulary of a language's head, without its adapter.

        Raises:
            CheckpointError: the language is not there; the nearest code is named.
            DataError: there are no adapters.
        """
        if language not in self._vocabularies:
            known = self.languages
            raise CheckpointError(
                f"{self.place} has no language {language!r}{nearest(language, known)}",
                fix=f"choose from {', '.join(known[:_SHOWN])}{', …' if len(known) > _SHOWN else ''}",
            )
        return Vocabulary.from_nested(self._vocabularies, language)

    @cached_property
    def _vocabularies(self) -> dict[str, dict[str, int]]:
        path = self._file("vocab.json")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} cannot be read ({error})", fix="copy the folder again") from error
        if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
            raise DataError(
                f"{path} holds no vocabulary for each language, so {self.place} has no MMS adapters",
                fix="give a run, a folder of mms-dist export, or a model such as facebook/mms-1b-all",
            )
        return content

    def _file(self, name: str) -> Path:
        """Return a file of the model, from its folder or from the Hub's cache or the Hub."""
        from transformers.utils import cached_file

        try:
            found = cached_file(resolve_base(self.place), name)
        except (OSError, ValueError) as error:
            if not Path(resolve_base(self.place)).exists():
                raise DataError(
                    f"there is no folder {self.place} here, and its {name} cannot be fetched from the Hub "
                    f"({first_line(error)})",
                    fix="check the path or name, or download it first: hf download OWNER/NAME",
                ) from error
            raise DataError(
                f"{self.place} has no {name}, so it is neither a run nor a model with adapters",
                fix="give a folder with config.yaml (a run), a folder of mms-dist export, or a Hub name",
            ) from error
        return Path(str(found))
