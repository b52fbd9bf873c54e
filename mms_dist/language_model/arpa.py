"""Write and read n-gram models in the ARPA format of SRILM, KenLM and IRSTLM, plain or compressed with gzip.

The logarithms in a file are to base 10, those of a model natural.
"""

import contextlib
import gzip
import io
import os
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mms_dist.errors import DataError
from mms_dist.files import replacing
from mms_dist.language_model.ngram_model import NEVER, NGramModel, OrderTable
from mms_dist.language_model.units import SPECIAL, Unit, guess_unit

_LN10 = float(np.log(10.0))
_LINES = 1 << 16
_OTHER_NAMES = {"<UNK>": "<unk>", "<S>": "<s>", "</S>": "</s>"}
_NOT_ARPA = "give an ARPA file, or a model that mms-dist wrote"


def write_arpa(model: NGramModel, path: str | os.PathLike[str]) -> None:
    """Write a model, atomically; a name that ends in `.gz` is compressed.

    Raises:
        DataError: the file cannot be written.
    """
    path = Path(path)
    with replacing(path) as staged, open(staged, "xb") as raw, contextlib.ExitStack() as stack:
        # No time stamp: the same model gives the same bytes.
        packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if path.suffix == ".gz" else raw
        if packed is not raw:
            stack.enter_context(packed)
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="\n")
        _write(model, text)
        text.flush()
        text.detach()


def _write(model: NGramModel, file: IO[str]) -> None:
    file.write("\\data\\\n")
    for number, size in enumerate(model.sizes, start=1):
        file.write(f"ngram {number}={size}\n")
    words = np.array(model.words, dtype=object)
    vocabulary = len(words)
    first = np.cumsum((1, *model.sizes))
    for number in range(model.order):
        file.write(f"\n\\{number + 1}-grams:\n")
        last = number + 1 == model.order
        for start in range(int(first[number]), int(first[number + 1]), _LINES):
            nodes = np.arange(start, min(start + _LINES, int(first[number + 1])))
            columns: list[list[str]] = []
            node = nodes
            for _ in range(number + 1):
                node, word = np.divmod(model.key[node], vocabulary)
                columns.insert(0, words[word].tolist())
            texts = columns[0] if not number else [" ".join(row) for row in zip(*columns, strict=True)]
            log_probs = (model.log_prob[nodes].astype(np.float64) / _LN10).tolist()
            if last:
                file.writelines(f"{value:.7g}\t{text}\n" for value, text in zip(log_probs, texts, strict=True))
                continue
            backoffs = (model.backoff[nodes].astype(np.float64) / _LN10).tolist()
            file.writelines(
                f"{value:.7g}\t{text}\t{weight:.7g}\n"
                for value, text, weight in zip(log_probs, texts, backoffs, strict=True)
            )
    file.write("\n\\end\\\n")


def read_arpa(path: str | os.PathLike[str], *, unit: Unit | None = None, language: str | None = None) -> NGramModel:
    """Read a model.

    `<unk>`, `<s>` and `</s>` are added if the file lacks them, as words that never come. N-grams whose prefix is not in
    the file, as some pruned models have, get one that changes no probability.

    Args:
        unit: None: characters if every word has just one.

    Raises:
        DataError: the file cannot be read or is not ARPA; the message names the line.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            source: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            with io.TextIOWrapper(source, encoding="utf-8", newline="\n") as file:
                return _Reader(str(path), file).model(unit, language)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"the language model {path} is cut off or damaged: {error}", fix="copy it again") from error
    except OSError as error:
        raise DataError(f"the language model {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"the language model {path} is not UTF-8 text ({error.reason} at byte {error.start} of a block)",
            fix="make it again from UTF-8 text, or convert it with iconv",
        ) from error


@dataclass(frozen=True)
class _RawOrder:
    """The n-grams of one order as a file lists them: word ids `[R, order]`, and logarithms to base 10 `[R]`."""

    words: NDArray[np.int32]
    log_prob: NDArray[np.float64]
    backoff: NDArray[np.float64]


class _Reader:
    """Reads one file, line by line."""

    def __init__(self, name: str, file: IO[str]) -> None:
        self._name = name
        self._lines = self._numbered(file)
        self._number = 0
        self._ids = {word: number for number, word in enumerate(SPECIAL)}

    def model(self, unit: Unit | None, language: str | None) -> NGramModel:
        sizes = self._sizes()
        raw = [self._unigrams(sizes[0])]
        raw += [self._order(order, size) for order, size in enumerate(sizes[1:], start=2)]
        line = self._next()
        if line != "\\end\\":
            raise self._wrong(f"is {line[:60]!r} after the last n-gram, expected \\end\\")
        words = tuple(self._ids)
        try:
            return _model(raw, words, unit or guess_unit(words), language)
        except _Repeated as error:
            raise DataError(
                f"the language model {self._name} has the n-gram {' '.join(words[i] for i in error.ids)!r} twice",
                fix=_NOT_ARPA,
            ) from None

    def _numbered(self, file: IO[str]) -> Iterator[str]:
        for self._number, line in enumerate(file, start=1):
            yield line.rstrip("\r\n")

    def _next(self) -> str:
        """Return the next line that is not empty."""
        for line in self._lines:
            if line.strip():
                return line.strip()
        raise self._wrong("is the last, and the model is not complete", fix="the file was cut off: copy it again")

    def _wrong(self, found: str, fix: str | None = _NOT_ARPA) -> DataError:
        return DataError(f"the language model {self._name}: line {self._number:,} {found}", fix)

    def _sizes(self) -> list[int]:
        for line in self._lines:
            if line.strip() == "\\data\\":
                break
            if self._number >= 1000:
                raise self._wrong("has come without \\data\\: it is not an ARPA file")
        else:
            raise self._wrong("is the last, and there was no \\data\\: it is not an ARPA file")
        sizes: list[int] = []
        for line in self._lines:
            if not line.strip():
                if sizes:
                    return sizes
                continue
            head, equals, size = line.partition("=")
            if head.split() != ["ngram", str(len(sizes) + 1)] or not equals or not size.strip().isdecimal():
                raise self._wrong(f"is {line[:60]!r}, expected 'ngram {len(sizes) + 1}=' and a number")
            sizes.append(int(size))
        raise self._wrong("is the last, and the model is not complete", fix="the file was cut off: copy it again")

    def _unigrams(self, size: int) -> _RawOrder:
        """Read the words; the special ones come first, whether the file has them or not."""
        found: dict[str, tuple[float, float]] = {}
        for fields in self._rows(1, size):
            word = _OTHER_NAMES.get(fields[1], fields[1])
            if word in found:
                raise self._wrong(f"has the word {word!r} a second time")
            found[word] = self._numbers(fields, 1)
            self._ids.setdefault(word, len(self._ids))
        table = np.array([found.get(word, (NEVER / _LN10, 0.0)) for word in self._ids])
        return _RawOrder(np.arange(len(table), dtype=np.int32)[:, None], table[:, 0], table[:, 1])

    def _order(self, order: int, size: int) -> _RawOrder:
        ids = self._ids | {name: self._ids[word] for name, word in _OTHER_NAMES.items()}
        words, numbers = array("i"), array("d")
        for fields in self._rows(order, size):
            numbers.extend(self._numbers(fields, order))
            try:
                words.extend([ids[word] for word in fields[1 : order + 1]])
            except KeyError as error:
                raise self._wrong(f"has the word {error.args[0]!r}, which is not among the 1-grams") from None
        table = np.array(numbers).reshape(-1, 2)
        return _RawOrder(np.array(words, np.int32).reshape(-1, order), table[:, 0], table[:, 1])

    def _rows(self, order: int, size: int) -> Iterator[list[str]]:
        """Yield the fields of each n-gram of an order."""
        header = self._next()
        if header != f"\\{order}-grams:":
            raise self._wrong(f"is {header[:60]!r}, expected \\{order}-grams: (is the table of sizes wrong?)")
        for place in range(1, size + 1):
            line = next(self._lines, "")
            fields = [field for field in line.replace("\t", " ").split(" ") if field]
            if not order + 1 <= len(fields) <= order + 2:
                raise self._wrong(
                    f"is {line[:60]!r}, expected n-gram {place:,} of {size:,} of order {order}: a logarithm, "
                    f"{'its words' if order > 1 else 'a word'} and perhaps a backoff weight"
                )
            yield fields

    def _numbers(self, fields: list[str], order: int) -> tuple[float, float]:
        try:
            log_prob = max(float(fields[0]), NEVER / _LN10)
            backoff = float(fields[-1]) if len(fields) == order + 2 else 0.0
            if log_prob < 1e-3 and abs(backoff) < np.inf:  # some files round a probability of 1 to a little more
                return log_prob, backoff
        except ValueError:
            pass
        raise self._wrong(f"has {fields[0]!r} and {fields[-1]!r} where logarithms should be")


class _Repeated(Exception):
    def __init__(self, ids: list[int]) -> None:
        super().__init__()
        self.ids = ids


def _model(raw: list[_RawOrder], words: tuple[str, ...], unit: Unit, language: str | None) -> NGramModel:
    """Sort the n-grams, and add the prefixes that are missing."""
    vocabulary = len(words)
    while raw[1:] and not len(raw[-1].words):
        raw.pop()
    orders: list[OrderTable] = []
    keys: list[NDArray[np.int64]] = []
    number = 0
    while number < len(raw):
        entries = raw[number]
        prefix = np.zeros(len(entries.words), np.int64)
        absent = 0
        for place in range(number):  # the prefix of place + 1 words
            key = prefix * vocabulary + entries.words[:, place]
            prefix = np.minimum(np.searchsorted(keys[place], key), len(keys[place]) - 1)
            missing = keys[place][prefix] != key if len(keys[place]) else np.ones(len(key), bool)
            if missing.any():
                absent = place + 1
                break
        if absent:
            rows = np.unique(entries.words[missing, :absent], axis=0)
            blank = np.full(len(rows), np.nan)
            old = raw[absent - 1]
            raw[absent - 1] = _RawOrder(
                np.concatenate([old.words, rows]),
                np.concatenate([old.log_prob, blank]),
                np.concatenate([old.backoff, np.zeros(len(rows))]),
            )
            number = absent - 1
            del orders[number:], keys[number:]
            continue
        key = prefix * vocabulary + entries.words[:, -1]
        by_key = np.argsort(key)
        key = key[by_key]
        if (repeated := np.flatnonzero(key[1:] == key[:-1])).size:
            raise _Repeated(entries.words[by_key[repeated[0]]].tolist())
        last = number + 1 == len(raw)
        backoff = np.zeros(len(key)) if last else entries.backoff[by_key] * _LN10
        log_prob = (entries.log_prob[by_key] * _LN10).astype(np.float32)
        orders.append(OrderTable(prefix[by_key], entries.words[by_key, -1], log_prob, backoff.astype(np.float32)))
        keys.append(key)
        number += 1
    model = NGramModel.build(unit, words, orders, language)
    gaps = np.flatnonzero(np.isnan(model.log_prob))
    while len(gaps):  # from the lowest order up: what the model says without them
        context = model.key[gaps] // vocabulary
        filled = model.backoff[context] + model.advance(model.lower[context], model.key[gaps] % vocabulary)[0]
        known = ~np.isnan(filled)
        model.log_prob[gaps[known]] = filled[known]
        gaps = gaps[~known]
    return model
