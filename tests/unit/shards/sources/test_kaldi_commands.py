"""Commands of wav.scp that only decode a file are read as that file; all others are not understood."""

import pytest

from shards.sources.kaldi_commands import DecodedFile, decoded_file


@pytest.mark.parametrize(
    ("written", "path", "channel"),
    [
        ("flac -c -d -s /a/1.flac |", "/a/1.flac", None),
        ("flac -dcs 'a b.flac' |", "a b.flac", None),
        ("/opt/bin/flac --silent --decode --stdout 1.flac|", "1.flac", None),
        ("sph2pipe -f wav -p -c 2 /a/sw02001.sph |", "/a/sw02001.sph", 2),
        ("/kaldi/tools/sph2pipe_v2.5/sph2pipe -f wav /a/1.wv1 |", "/a/1.wv1", None),
        ("cat 1.wav |", "1.wav", None),
        ("sox 1.mp3 -t wav -r 16000 -b 16 - |", "1.mp3", None),
        ("sox -G -t mp3 1.mp3 -t wav - remix 2 |", "1.mp3", 2),
        ("sox 1.wav -c 1 -t wav - rate 16k |", "1.wav", None),
        ("ffmpeg -v quiet -nostdin -i 1.m4a -ac 1 -ar 16000 -f wav - |", "1.m4a", None),
        ("ffmpeg -i 1.m4a -vn -acodec pcm_s16le -f wav pipe:1 |", "1.m4a", None),
    ],
)
def test_commands_that_only_decode_are_their_file(written, path, channel):
    assert decoded_file(written) == DecodedFile(path, channel)


@pytest.mark.parametrize(
    "written",
    [
        "/a/1.flac",
        "flac -c -d -s 1.flac",
        "| flac -c -d 1.flac |",
        "flac -c -d 1.flac | sox - -t wav - |",
        "flac -c -d 1.flac 2.flac |",
        "flac -c -d --skip=1000 1.flac |",
        "flac -c -d |",
        "sox 1.wav -t wav - speed 1.1 |",
        "sox --vol 0.5 1.wav -t wav - |",
        "sox 1.wav 2.wav -t wav - |",
        "sox 1.wav out.wav |",
        "sox 1.wav -r 8000 -t wav - |",
        "sox -t raw -r 16000 1.raw -t wav - |",
        "sox 1.wav -t wav - rate 8k |",
        "ffmpeg -i 1.m4a -ar 4000 -f wav - |",
        "sph2pipe -f wav -t 1:2 1.sph |",
        "sph2pipe -f wav -c x 1.sph |",
        "ffmpeg -ss 10 -i 1.m4a -f wav - |",
        "ffmpeg -i 1.m4a -af atempo=2 -f wav - |",
        "ffmpeg -i 1.m4a out.wav |",
        "cat $(rm x) |",
        "cat `ls` |",
        "cat *.wav |",
        "cat 1.wav > 2.wav |",
        "cat 1.wav; touch x |",
        "cat 'unclosed |",
        "touch x |",
        "cat - |",
        "|",
        "",
    ],
)
def test_what_may_change_what_is_heard_is_not_understood(written):
    assert decoded_file(written) is None
