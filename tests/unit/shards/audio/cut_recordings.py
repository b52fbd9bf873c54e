"""Recordings that were cut short or are none, and what should become of each."""

import struct
from dataclasses import dataclass

import numpy as np

from tests.recordings import (
    encode,
    flac_total,
    id3,
    mp3_in_wav,
    ogg_page,
    ogg_pages,
    patched,
    speechlike,
    without_mp3_header,
)

SECONDS = 2.0
SOUND = speechlike(SECONDS, 16_000)
OTHER = speechlike(1.0, 24_000, seed=3)


@dataclass(frozen=True)
class Kept:
    """It is used: so many seconds, `counted` among those that do not tell their length."""

    seconds: float = SECONDS
    counted: bool = False


@dataclass(frozen=True)
class LeftOut:
    """It is left out, and the example says this."""

    reason: str
    says: str


def le(number):
    return struct.pack("<I", number & 0xFFFFFFFF)


def be(number):
    return struct.pack(">I", number & 0xFFFFFFFF)


def loud_then_quiet():
    """An MP3 of 3 s whose first frames tell nothing of its length: they are much longer than the others."""
    noise = np.random.default_rng(0).standard_normal(3 * 44_100)
    noise *= np.where(np.arange(len(noise)) < 44_100, 0.3, 1e-4)
    return encode(noise, 44_100, "MP3", bitrate_mode="VARIABLE")


def containers_cut():
    """Halves of every container that tells its length, and of Ogg, whose last page marks the end."""
    plain = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "AVR", "VOC", "HTK")
    for container, subtype in (
        *((name, "PCM_16") for name in plain),
        ("SVX", "PCM_S8"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("WAV", "GSM610"),
        ("WAV", "IMA_ADPCM"),
        ("CAF", "ALAC_16"),
        ("FLAC", "PCM_16"),
        ("MP3", "MPEG_LAYER_III"),
    ):
        data = encode(SOUND, 16_000, container, subtype)
        name = f"{container}-{subtype}".lower()
        yield f"half-{name}", data[: len(data) // 2], LeftOut("cut_short", " of 2.0")
        yield f"ninth-tenth-{name}", data[: len(data) * 9 // 10], LeftOut("cut_short", " of 2.0")
        yield f"whole-{name}", data, Kept()
        yield f"twice-{name}", data + data, Kept(2 * SECONDS)
        yield f"header-{name}", data[:30], LeftOut("" if container == "MP3" else "cut_short", "")
    for subtype in ("VORBIS", "OPUS"):
        data = encode(speechlike(8, 16_000), 16_000, "OGG", subtype)
        pages = ogg_pages(data)
        half = data[: len(data) // 2]
        unmarked = b"".join([*pages[:-1], ogg_page(pages[-1], (5, b"\0"))])
        position = struct.unpack("<q", pages[-1][6:14])[0]
        later = ogg_page(pages[-1], (6, struct.pack("<q", 2 * position)))
        yield f"whole-{subtype}", data, Kept(8)
        yield f"half-{subtype}", half, LeftOut("cut_short", "ends after ")
        yield f"unmarked-{subtype}", unmarked, LeftOut("cut_short", "ends after 8.00 s (the end-of-stream Ogg page")
        yield f"chained-{subtype}", data + encode(OTHER, 24_000, "OGG", subtype), Kept(9)
        yield f"chain-cut-{subtype}", data + half, LeftOut("cut_short", "ends after ")
        yield f"page-lost-{subtype}", b"".join(pages[:3] + pages[4:]), LeftOut("undecodable", "1 Ogg page missing")
        yield f"page-damaged-{subtype}", patched(data, (len(data) - 50, b"\x5a\xa5")), LeftOut("undecodable", "damaged")
        yield f"too-late-{subtype}", b"".join([*pages[:-1], later]), LeftOut("cut_short", " of 16.0")


def lengths_not_told():
    """Lengths that the writer did not know, as encoders into pipes leave them, or told too small."""
    wav = encode(SOUND, 16_000, "WAV", "PCM_16")
    for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF - 36):
        yield f"wav-{size:x}", patched(wav, (40, le(size))), Kept(counted=True)
        yield f"wav-riff-{size:x}", patched(wav, (4, le(size)), (40, le(size))), Kept(counted=True)
    yield "wav-too-small", patched(wav, (40, le(1_000))), Kept(counted=True)
    yield "wav-too-large", patched(wav, (40, le(128_000))), LeftOut("cut_short", "ends after 2.00 s of 4.00 s")
    yield "wav-few-too-many", patched(wav, (40, le(len(wav)))), Kept()
    yield "wav-odd-chunk", wav + b"LIST" + le(9) + b"INFOabcde", Kept()
    yield "wav-zeros-behind", wav + bytes(20_000), Kept()
    yield "wav-empty", patched(wav[:44], (40, le(0))), LeftOut("too_short", "0.00 s")
    yield "wav-two", wav + encode(OTHER, 24_000, "WAV", "FLOAT"), Kept(SECONDS + 1)
    gsm = encode(SOUND, 16_000, "WAV", "GSM610")
    yield "gsm-0", patched(gsm, (gsm.index(b"data") + 4, le(0))), Kept(counted=True)
    rf64 = encode(SOUND, 16_000, "RF64", "PCM_16")
    yield "rf64-0", patched(rf64, (28, bytes(8))), Kept(counted=True)
    yield "bw64", b"BW64" + rf64[4:], Kept()
    w64 = encode(SOUND, 16_000, "W64", "PCM_16")
    yield "w64-0", patched(w64, (w64.index(b"data") + 16, bytes(8))), Kept(counted=True)
    aiff = encode(SOUND, 16_000, "AIFF", "PCM_16")
    sound, common = aiff.index(b"SSND") + 4, aiff.index(b"COMM") + 10
    yield "aiff-0", patched(aiff, (4, be(0)), (sound, be(0)), (common, be(0))), Kept(counted=True)
    yield "aiff-more-frames", patched(aiff, (common, be(64_000))), LeftOut("cut_short", "of 4.00 s")
    au = encode(SOUND, 16_000, "AU", "PCM_16")
    yield "au-unknown", patched(au, (8, be(-1))), Kept(counted=True)
    for subtype in ("PCM_16", "ALAC_16"):
        caf = encode(SOUND, 16_000, "CAF", subtype)
        yield (
            f"caf-unknown-{subtype}",
            patched(caf, (caf.index(b"data") + 4, b"\xff" * 8)),
            Kept(counted=subtype == "PCM_16"),
        )
    flac = encode(SOUND, 16_000, "FLAC", "PCM_16")
    yield "flac-0", flac_total(flac, 0), Kept(counted=True)
    yield "flac-0-half", flac_total(flac, 0)[: len(flac) // 2], LeftOut("cut_short", "within a FLAC frame")
    yield "flac-too-small", flac_total(flac, 10_000), Kept(counted=True)
    yield "flac-too-small-by-one", flac_total(flac, 31_999), Kept(counted=True)
    yield "flac-too-large", flac_total(flac, 64_000), LeftOut("cut_short", "ends after 2.00 s of 4.00 s")
    yield "flac-absurd", flac_total(flac, 2**36 - 1), LeftOut("cut_short", "ends after 2.00 s of 4294967.30 s")
    yield "flac-tagged", id3() + flac + b"TAG" + bytes(125), Kept()
    yield "flac-last-byte", flac[:-1], LeftOut("cut_short", "ends after 1.")


def mpeg():
    """MP3 with and without its header, tagged, joined, in WAV, with bytes in it that are none."""
    whole = loud_then_quiet()
    bare = without_mp3_header(whole)
    ape = b"APETAGEX" + struct.pack("<IIII", 2_000, 32, 1, 0xA0000000) + bytes(8)
    ape += bytes(1_968) + b"APETAGEX" + struct.pack("<IIII", 2_000, 32, 1, 0x80000000) + bytes(8)
    tag, junk = b"TAG" + bytes(125), np.random.default_rng(1).bytes(70_000)
    slower = encode(speechlike(1, 22_050), 22_050, "MP3")
    stereo = encode(speechlike(1, 44_100, channels=2), 44_100, "MP3")
    yield "mp3-whole", whole, Kept(3)
    yield "mp3-bare", bare, Kept(3, counted=True)
    yield "mp3-half", whole[: len(whole) // 2], LeftOut("cut_short", " of 3.0")
    yield "mp3-bare-half", bare[: len(bare) // 2], LeftOut("cut_short", "within an MPEG frame")
    yield "mp3-two", whole + whole, Kept(6)
    yield "mp3-whole-bare", whole + bare, Kept(6)
    yield "mp3-bare-whole", bare + whole, Kept(6, counted=True)
    yield "mp3-bare-bare", bare + bare, Kept(6, counted=True)
    yield "mp3-two-tagged", id3() + whole + tag + id3() + whole + tag, Kept(6)
    yield "mp3-two-rates", whole + slower, Kept(4)
    yield "mp3-two-rates-bare", bare + without_mp3_header(slower), Kept(4, counted=True)
    yield "mp3-mono-stereo", whole + stereo, Kept(4)
    yield "mp3-tagged", id3() + whole + ape + tag, Kept(3)
    yield "mp3-bare-tagged", id3() + bare + ape + tag, Kept(3, counted=True)
    yield "mp3-junk", junk[:3_000] + whole, Kept(3)
    yield "mp3-bare-junk", junk + bare, Kept(3, counted=True)
    yield "mp3-bare-junk-within", bare[:20_000] + junk[:3_000] + bare[20_000:], Kept(3, counted=True)
    yield "mp3-tag-alone", id3(), LeftOut("cut_short", "no audio after it")
    yield "mp3-wav", mp3_in_wav(whole, 44_100), Kept(3)
    yield "mp3-bare-wav", mp3_in_wav(bare, 44_100), Kept(3)
    yield "mp3-wav-half", mp3_in_wav(bare, 44_100)[: len(bare) // 2], LeftOut("cut_short", "bytes of audio declared")


def with_another_stream(ogg):
    """An Ogg file with a skeleton beside its sound."""
    first, *rest = ogg_pages(ogg)
    changes = (14, le(7)), (5, b"\2"), (28, b"fishead\0")
    bones = ogg_page(patched(first, *changes), *changes)
    return b"".join([bones, first, rest[0], ogg_page(bones, (5, b"\4"), (18, le(1))), *rest[1:]])


def rarer_layouts():
    """Legal files that are seldom met, and their halves."""
    for subtype in ("VORBIS", "OPUS"):
        ogg = with_another_stream(encode(speechlike(8, 16_000), 16_000, "OGG", subtype))
        yield f"skeleton-{subtype}", ogg, Kept(8)
        yield f"skeleton-half-{subtype}", ogg[: len(ogg) // 2], LeftOut("cut_short", "ends after ")
    page = ogg_pages(encode(SOUND, 16_000, "OGG", "VORBIS"))[0]
    head = ogg_page(page, (28, b"\x7fFLAC\1\0\0\1fLaC"))
    yield "ogg-flac", head + ogg_page(page, (5, b"\4"), (18, le(1))), LeftOut("undecodable", "FLAC in Ogg")
    whole = loud_then_quiet()
    count = max(whole.find(b"Xing"), whole.find(b"Info")) + 8
    frames = struct.unpack(">I", whole[count : count + 4])[0]
    for more in (-2, -1, 1, 2):
        yield f"mp3-count{more:+}", patched(whole, (count, be(frames + more))), Kept(3)
    yield (
        "mp3-count+3",
        patched(whole, (count, be(frames + 3))),
        LeftOut("cut_short", f"{frames + 3} MPEG frames"),
    )
    yield "mp3-zeros-before", bytes(3_000) + whole, Kept(3)
    flac = encode(SOUND, 16_000, "FLAC", "PCM_16")
    yield "flac-picture-behind", flac + np.random.default_rng(3).bytes(1_100_000), Kept()
    ircam = encode(SOUND, 16_000, "IRCAM", "PCM_32")[:1024] + without_mp3_header(whole)
    yield "ircam-like-mpeg", ircam[: len(ircam) // 4 * 4], Kept((len(ircam) - 1024) // 4 / 16_000, counted=True)
    mat5 = encode(SOUND, 16_000, "MAT5", "PCM_16")
    yield "half-mat5", mat5[: len(mat5) // 2], Kept(1, counted=True)
    voc = encode(SOUND, 16_000, "VOC", "PCM_16").rstrip(b"\0")
    yield "voc-blocks", voc + b"\2\x10\0\0" + bytes(17), LeftOut("undecodable", "several VOC blocks")


def others():
    """What is no recording, or none that libsndfile reads."""
    yield "html", b"\n<!DOCTYPE html><html><head></head></html>", LeftOut("undecodable", "an HTML page")
    yield "xhtml", b'<?xml version="1.0"?><html xmlns="x"><body>', LeftOut("undecodable", "an HTML page")
    yield "xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', LeftOut("undecodable", "an XML file")
    yield "json", b'{"error": "not found"}', LeftOut("undecodable", "a JSON file")
    yield "lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", LeftOut("undecodable", "git lfs pull")
    yield "gzip", b"\x1f\x8b\x08" + bytes(50), LeftOut("undecodable", "compressed with gzip")
    yield "zip", b"PK\x03\x04" + bytes(50), LeftOut("undecodable", "a ZIP archive")
    yield "empty", b"", LeftOut("undecodable", "an empty file")
    yield "zeros", bytes(5_000), LeftOut("undecodable", "nothing but zero bytes")
    yield "m4a", b"\0\0\0\x20ftypM4A " + bytes(50), LeftOut("undecodable", "MP4")
    yield "text", "țară și glas".encode(), LeftOut("undecodable", "a text file that begins with 'țară")
    noise = np.random.default_rng(2).bytes(3_000)
    yield "noise", noise, LeftOut("undecodable", "not in a format that libsndfile reads")
    yield "apple", b"\x00\x05\x16\x07" + bytes(50), LeftOut("undecodable", "macOS")


CASES = {
    name.lower(): (data, expected)
    for group in (containers_cut, lengths_not_told, mpeg, rarer_layouts, others)
    for name, data, expected in group()
    if expected != LeftOut("", "")
}
