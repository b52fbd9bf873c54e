"""The commands in `wav.scp` that only decode or convert a file: the file is read instead, and no command is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from shards.schema import SAMPLE_RATE

# What a shell would not pass on as it is.
_SHELL = re.compile(r"[|;&<>$`*?\n]")
_HEADERLESS = ("raw", "s16le", "s16be", "f32le")
_OUTPUTS = ("-", "/dev/stdout", "pipe:1", "pipe:")


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """What a command decodes: a file, and one channel of it, from 1; None: all."""

    path: str
    channel: int | None = None


class _Unknown(Exception):
    """A part of a command that may change what is heard, or that is not known."""


def decoded_file(written: str) -> DecodedFile | None:
    """Return what a command of `wav.scp` decodes; None if it does anything else, such as changing the speed.

    Known are `flac`, `sph2pipe`, `cat`, `sox` and `ffmpeg`. Formats and sample rates of 16 kHz and more that they
    convert to do not matter, since recordings are resampled when they are decoded. Lower ones lose what could be heard.
    """
    command = written.strip().removesuffix("|").strip()
    if not written.strip().endswith("|") or _SHELL.search(command):
        return None
    try:
        name, *words = shlex.split(command)
        read = _COMMANDS[name.rpartition("/")[2]]
        found = read(iter(words))
    except (KeyError, ValueError, _Unknown):  # another command, an unclosed quote, or no word at all
        return None
    return None if found.path in _OUTPUTS else found


def _flac(words: Iterator[str]) -> DecodedFile:
    known = {"--decode", "--stdout", "--silent", "--totally-silent", "--force"}
    files = [word for word in words if word not in known and not re.fullmatch(r"-[cdsfF]+", word)]
    return DecodedFile(_only(files))


def _cat(words: Iterator[str]) -> DecodedFile:
    return DecodedFile(_only(words))


def _sph2pipe(words: Iterator[str]) -> DecodedFile:
    files, channel = [], None
    for word in words:
        if word == "-c":
            channel = _number(next(words, ""))
        elif word == "-f":
            next(words, None)
        elif re.fullmatch(r"-c\d", word):
            channel = _number(word[2:])
        elif not re.fullmatch(r"-([pua]+|f(wav|rif|au|aif|raw|sph))", word):
            files.append(word)
    return DecodedFile(_only(files), channel)


def _sox(words: Iterator[str]) -> DecodedFile:
    files = _without_options(
        words,
        with_value={"-t", "-b", "-c", "-e", "--bits"},
        alone={"-G", "-V0", "-V1", "-S", "-q"},
        rates={"-r", "--rate"},
    )
    path = next(files, "")
    if not path or path in _OUTPUTS or next(files, "") not in _OUTPUTS:
        raise _Unknown
    match list(files):
        case [] | ["remix", "-"] | ["channels", "1"]:
            return DecodedFile(path)
        case ["rate", rate]:
            _check_rate(rate)
            return DecodedFile(path)
        case ["remix", channel]:
            return DecodedFile(path, _number(channel))
    raise _Unknown


def _ffmpeg(words: Iterator[str]) -> DecodedFile:
    known = {"-f", "-ac", "-acodec", "-c:a", "-codec:a", "-v", "-loglevel", "-sample_fmt", "-threads"}
    path, outputs = None, []
    alone = {"-vn", "-y", "-nostdin", "-hide_banner", "-sn", "-dn"}
    rest = _without_options(words, with_value=known, alone=alone, rates={"-ar"})
    for word in rest:
        if word == "-i" and path is None:
            path = next(rest, None)
        else:
            outputs.append(word)
    if path is None or _only(outputs) not in _OUTPUTS:
        raise _Unknown
    return DecodedFile(path)


def _without_options(
    words: Iterator[str], *, with_value: Iterable[str], alone: Iterable[str], rates: Iterable[str]
) -> Iterator[str]:
    for word in words:
        if word in rates:
            _check_rate(next(words, ""))
        elif word in with_value:
            if next(words, "") in _HEADERLESS:
                raise _Unknown
        elif word not in alone:
            yield word


def _check_rate(word: str) -> None:
    """Check that a sample rate, such as 16000 or 16k, loses nothing."""
    number = word.removesuffix("k")
    if not number.isascii() or not number.isdecimal() or int(number) * (1000 if word != number else 1) < SAMPLE_RATE:
        raise _Unknown


def _only(words: Iterable[str]) -> str:
    """Return the only word, which is no option."""
    match list(words):
        case [word] if not word.startswith("-") or word == "-":
            return word
    raise _Unknown


def _number(word: str) -> int:
    if not word.isascii() or not word.isdecimal() or not int(word):
        raise _Unknown
    return int(word)


_COMMANDS: Mapping[str, Callable[[Iterator[str]], DecodedFile]] = {
    "cat": _cat,
    "ffmpeg": _ffmpeg,
    "flac": _flac,
    "sox": _sox,
    "sph2pipe": _sph2pipe,
}
