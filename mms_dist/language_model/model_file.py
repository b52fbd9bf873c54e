"""A model's own binary file: its arrays as they are, mapped into memory by every process that reads it.

The container is safetensors, so that other tools can read it. Its metadata hold the format's version, a CRC-32 of every
array, the unit, the language and the sizes of the orders; `words` is the vocabulary in UTF-8, one word per line.
"""

import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mms_dist.errors import DataError
from mms_dist.files import replacing
from mms_dist.language_model.ngram_model import NGramModel
from mms_dist.language_model.units import check_unit

FORMAT = "mms-dist n-gram"
VERSION = 1
_TYPES = {"I64": np.int64, "I32": np.int32, "F32": np.float32, "U8": np.uint8}
_ARRAYS = {"key": np.int64, "log_prob": np.float32, "state": np.int32, "backoff": np.float32, "lower": np.int32}
_LONGEST_HEADER = 1 << 20
_COPY = "copy it again, or build it again from its text"


def write_model(model: NGramModel, path: str | os.PathLike[str]) -> None:
    """Write a model, atomically.

    Raises:
        DataError: the file cannot be written.
    """
    path = Path(path)
    arrays: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(getattr(model, name)) for name in _ARRAYS}
    arrays["words"] = np.frombuffer("\n".join(model.words).encode(), np.uint8)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "unit": model.unit,
        "language": model.language or "",
        "sizes": json.dumps(model.sizes),
        "crc32": json.dumps({name: zlib.crc32(array.data) for name, array in arrays.items()}),
    }
    with replacing(path) as staged:
        staged.touch()
        mode = staged.stat().st_mode
        save_file(arrays, staged, metadata)
        staged.chmod(mode)  # safetensors lets only the owner read it


def read_model(path: str | os.PathLike[str], *, verify: bool = True) -> NGramModel:
    """Map a model into memory.

    Args:
        verify: compare the checksums, which reads the whole file once (about 1 GB a second).

    Raises:
        DataError: the file is of another kind or version, or is damaged.
    """
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            header_size = int.from_bytes(file.read(8), "little")
            header = file.read(header_size) if header_size <= _LONGEST_HEADER else b""
        entries = json.loads(header)
        metadata = entries.pop("__metadata__")
        if metadata["format"] != FORMAT:
            raise KeyError("format")
    except OSError as error:
        raise DataError(f"the language model {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is not a language model that mms-dist wrote", fix="give another file") from None
    if metadata.get("version") != str(VERSION):
        raise DataError(
            f"the language model {path} has version {metadata.get('version')} of its format, expected {VERSION}",
            fix="build it again with this version of mms-dist",
        )
    try:
        checksums = json.loads(metadata["crc32"])
        arrays = {name: _mapped(path, entries[name], offset=8 + header_size, size=size) for name in (*_ARRAYS, "words")}
        damaged = [name for name, array in arrays.items() if verify and zlib.crc32(array.data) != checksums[name]]
        if damaged:
            raise ValueError(f"the checksum of {damaged[0]} differs")
        sizes = tuple(json.loads(metadata["sizes"]))
        words = tuple(bytes(arrays.pop("words")).decode().split("\n"))
        _check_lengths(arrays, sizes, len(words))
        return NGramModel(
            unit=check_unit(metadata["unit"]),
            words=words,
            sizes=sizes,
            **arrays,
            language=metadata.get("language") or None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the language model {path} is damaged: {error}", fix=_COPY) from error


def _mapped(path: str | os.PathLike[str], entry: Mapping[str, Any], *, offset: int, size: int) -> NDArray[Any]:
    dtype = np.dtype(_TYPES[entry["dtype"]])
    start, stop = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if offset + stop > size:
        raise ValueError(f"it ends after {size:,} bytes, {offset + stop:,} were written")
    if math.prod(shape) * dtype.itemsize != stop - start:
        raise ValueError("the size of an array is wrong")
    if not stop - start:
        return np.zeros(shape, dtype)
    return np.asarray(np.memmap(path, dtype, "r", offset + start, shape))


def _check_lengths(arrays: Mapping[str, NDArray[Any]], sizes: tuple[int, ...], words: int) -> None:
    nodes, contexts = 1 + sum(sizes), 1 + sum(sizes[:-1])
    expected = {"key": nodes, "log_prob": nodes, "state": nodes, "backoff": contexts, "lower": contexts}
    if sizes[0] != words or any(len(arrays[name]) != length for name, length in expected.items()):
        raise ValueError("its arrays do not have the lengths that its header says")
