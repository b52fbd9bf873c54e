"""The sentences that a language model is made from: transcripts of shards, and lines of text files."""

import gzip
import io
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mms_dist.errors import DataError
from shards.drops import Drop, Drops, Rejected
from shards.index import LanguageIndex
from shards.read import ShardReader

Normaliser = Callable[[str], str]
_GZIP = b"\x1f\x8b"


def transcripts(reader: ShardReader, index: LanguageIndex, split: str) -> Iterator[str]:
    """Yield the normalised transcripts of a split.

    Raises:
        ShardsError: a sample cannot be read.
    """
    for row in index.table(split).rows.tolist():
        yield reader.read_text(index.language, split, row)


def lines(path: Path, normalise: Normaliser, drops: Drops, *, held_out: Collection[str] = ()) -> Iterator[str]:
    """Yield the lines of a text file (plain or gzip, UTF-8), normalised as transcripts are.

    Args:
        drops: counts the lines that cannot be normalised, and those that are held out.
        held_out: transcripts of dev and test, which the model must not know.

    Raises:
        DataError: the file cannot be read, or is not UTF-8.
    """
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    text = normalise(line)
                except Rejected as error:
                    drops.add(error.at(f"{path}:{number}"))
                    continue
                if text in held_out:
                    drops.add(Drop("text_in_other_split", f"{path}:{number}", repr(text)))
                    continue
                yield text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason} after line {number:,})",
            fix=f"convert it from its encoding, for instance with iconv -f … -t utf-8 {path}",
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged: {error}", fix="copy it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", fix="check the path") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        with io.TextIOWrapper(gzip.GzipFile(fileobj=file) if packed else file, encoding="utf-8-sig") as text:
            yield text
