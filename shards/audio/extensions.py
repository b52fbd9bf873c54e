"""Names of audio files: the formats that are read, and the audio and video formats that are not."""

from __future__ import annotations


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Formats that are read. If a clip has several, the first of these is used.
AUDIO_EXTENSIONS = (
    *("flac", "wav", "mp3", "ogg", "opus", "oga", "aiff", "aif", "au", "w64", "caf"),
    *("sph", "nist", "aifc", "snd", "rf64", "voc", "wave", "mp2"),
)
# libsndfile reads none of these. ffmpeg converts most of them.
UNREAD_AUDIO = _words(
    """3ga aa aac aax ac3 adts ape awb amr alac dsf dts eac3 m4a m4b m4p m4r mka mpc ra rm shn spx tta weba wma wv
    adpcm al alaw g711 g722 g723 g726 g729 gsm pcm qcp raw s16 s16le silk sln sln16 ul ulaw vox wv1 wv2"""
)
VIDEO = _words("3g2 3gp asf avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts vob webm wmv")


def is_audio(extension: str) -> bool:
    """Whether a member with this extension is a recording: `wav`, or `audio.wav`."""
    return extension.rpartition(".")[2] in AUDIO_EXTENSIONS


def is_unread(extension: str) -> bool:
    """Whether a member with this extension is a recording in a format that is not read: `m4a`, or `audio.m4a`."""
    kind = extension.rpartition(".")[2]
    return kind in UNREAD_AUDIO or kind in VIDEO
