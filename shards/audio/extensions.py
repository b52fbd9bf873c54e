"""Names of audio files: the formats that are read, those that need PyAV, and those that are not read at all."""

from __future__ import annotations

from pathlib import Path

from shards.audio.containers.pyav_formats import pyav_is_installed


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Formats that libsndfile reads. If a clip has several, the first of these is used.
AUDIO_EXTENSIONS = (
    *("flac", "wav", "mp3", "ogg", "opus", "oga", "aiff", "aif", "au", "w64", "caf"),
    *("sph", "nist", "aifc", "snd", "rf64", "voc", "wave", "mp2"),
)
# Formats that PyAV reads: lossless ones first, videos last.
PYAV_EXTENSIONS = (
    *("wv", "tta", "ape", "m4a", "m4b", "mka", "weba", "aac", "adts", "wma", "amr", "awb", "3ga", "g722"),
    *("mp4", "m4v", "mov", "webm", "mkv", "3gp", "3g2", "avi", "flv", "asf", "wmv", "mpg", "mpeg"),
)
# ffmpeg converts most of the others.
UNREAD_AUDIO = _words(
    """aa aax ac3 alac dsf dts eac3 m4p m4r mpc ra rm shn spx
    adpcm al alaw g711 g723 g726 g729 gsm pcm qcp raw s16 s16le silk sln sln16 ul ulaw vox wv1 wv2"""
)
UNREAD_VIDEO = _words("m2ts mts ogv ts vob")
ALL_EXTENSIONS = frozenset((*AUDIO_EXTENSIONS, *PYAV_EXTENSIONS)) | UNREAD_AUDIO | UNREAD_VIDEO
# These have no mark of their own, so they are read only where the name of the file is known.
_BY_NAME_ONLY = ("g722",)


def readable_extensions() -> tuple[str, ...]:
    """Return the extensions of the formats that can be read here, the preferred one of a clip first."""
    return (*AUDIO_EXTENSIONS, *PYAV_EXTENSIONS) if pyav_is_installed() else AUDIO_EXTENSIONS


def is_audio(extension: str) -> bool:
    """Whether a member of a tar with this extension is a recording: `wav`, or `audio.wav`."""
    kind = extension.rpartition(".")[2]
    return kind in readable_extensions() and kind not in _BY_NAME_ONLY


def is_unread(extension: str) -> bool:
    """Whether a member with this extension is a recording in a format that is not read: `shn`, or `audio.shn`."""
    return extension.rpartition(".")[2] in ALL_EXTENSIONS and not is_audio(extension)


def recordings_below(folder: Path) -> list[Path]:
    """Return the recordings in a folder and all below it, by their names, without hidden ones.

    Those that need PyAV are among them even if it is not installed: reading one says how to install it.
    """
    extensions = frozenset((*AUDIO_EXTENSIONS, *PYAV_EXTENSIONS))
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower().removeprefix(".") in extensions
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
