"""Open a language model of any kind that can be read."""

import os

from mms_dist.errors import DataError
from mms_dist.language_model.arpa import read_arpa
from mms_dist.language_model.interface import LanguageModel
from mms_dist.language_model.kenlm_model import MAGIC, KenlmModel
from mms_dist.language_model.model_file import read_model
from mms_dist.language_model.units import Unit

_IRSTLM = (b"iARPA", b"Qblmt", b"blmt")


def load_model(path: str | os.PathLike[str], *, unit: Unit | None = None) -> LanguageModel:
    """Open an ARPA file (plain or `.gz`), a file of `write_model`, or a binary of KenLM.

    Args:
        unit: of a model that does not say it itself; None: characters if every word has just one.

    Raises:
        DataError: it cannot be read, or is of another kind.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise DataError(
            f"the language model {path} cannot be read: {error.strerror or error}", fix="check the path"
        ) from error
    if not head:
        raise DataError(f"the language model {path} is empty", fix="copy it again, or build it again")
    if head.startswith(MAGIC):
        return KenlmModel(path, unit=unit)
    if head[8:9] == b"{":  # after the length of its header
        return read_model(path)
    if head.startswith(_IRSTLM):
        raise DataError(
            f"the language model {path} is one of IRSTLM's own formats",
            fix="convert it: compile-lm --text=yes MODEL MODEL.arpa",
        )
    return read_arpa(path, unit=unit)
