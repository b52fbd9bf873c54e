"""Sound comes back right from every container and sample format, by `shards build` and from foreign tars."""

import io

import numpy as np
import pytest
import soundfile
import soxr

from shards.audio.audio_errors import UndecodableError
from shards.audio.codec import RecordingFacts, decode
from shards.audio.containers.byte_source import MemorySource
from shards.audio.recording import Recording
from shards.drops import REASONS
from shards.errors import DamagedSampleError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.verify import verify_shards
from tests.recordings import Corpus, encode, extensible, patched, speechlike

SECONDS = 0.8
RATES = (8_000, 16_000, 22_050, 44_100, 48_000)
PCM = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
LOSSY = ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM_16", "NMS_ADPCM_32")
COMPRESSED = ("ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32", "VORBIS", "OPUS", "MPEG_LAYER_III", "DWVW_16", "DWVW_24")
# At every rate, with one channel and two; the others at 16 kHz with one and at 44.1 kHz with two.
THOROUGHLY = ("PCM_16", "FLOAT", "ULAW", "GSM610", "ALAC_16", "VORBIS", "OPUS", "MPEG_LAYER_III")
EVERYWHERE = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST")
# These write their rate right where it is one of these.
RARE = ("SVX", "AVR", "PVF", "PAF", "IRCAM", "MAT4", "MAT5", "HTK", "MPC2K", "VOC")


def table():
    """(container, sample format, rate, channels) of everything that libsndfile writes and that keeps its rate."""
    for container in (*EVERYWHERE, *RARE):
        for subtype in soundfile.available_subtypes(container):
            if subtype not in PCM + LOSSY + COMPRESSED or (container, subtype) == ("VOC", "PCM_U8"):
                continue
            for rate in RATES:
                for channels in (1, 2):
                    thorough = container in EVERYWHERE and subtype in THOROUGHLY
                    if thorough or (rate, channels) in ((16_000, 1), *((44_100, 2),) * (container in EVERYWHERE)):
                        yield container, subtype, rate, channels


def recordings():
    found = {}
    for number, (container, subtype, rate, channels) in enumerate(table()):
        audio = speechlike(SECONDS, rate, channels=channels, seed=number)
        try:
            data = encode(audio, rate, container, subtype)
        except (soundfile.LibsndfileError, ValueError):
            continue  # a rate or number of channels that this one does not have
        found[f"{container}-{subtype}-{rate}-{channels}".lower()] = (data, number)
    return found


def float_decoding(data):
    """What libsndfile decodes as float, mixed down and resampled."""
    with soundfile.SoundFile(io.BytesIO(data)) as recording:
        stored = recording.read(1 << 20, dtype="float32", always_2d=True)
        return np.clip(soxr.resample(stored.mean(axis=1), recording.samplerate, 16_000, quality="HQ"), -1, 1)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    found = recordings()
    corpus = Corpus(tmp_path_factory.mktemp("formats"), {key: data for key, (data, _) in found.items()})
    return (
        corpus,
        {key: number for key, (_, number) in found.items()},
        {"built": corpus.build(), "indexed": corpus.index()},
    )


def wrong_ones(corpus, numbers, place):
    """Keys whose sound differs: by shape (correlation below 0.999), by level (over 0.1 dB) or by length."""
    wrong = {}
    read = corpus.audio(place)
    for key, number in numbers.items():
        *_, subtype, _, channels = key.upper().split("-")
        expected = speechlike(SECONDS, 16_000, seed=number) * (1 if channels == "1" else 0.75)
        if subtype in (*LOSSY, "VORBIS", "OPUS", "MPEG_LAYER_III"):
            expected = float_decoding(corpus.recordings[key])
        found = read.get(key, np.zeros(1))
        length = min(len(found), len(expected))
        similar = np.corrcoef(found[:length], expected[:length])[0, 1] if length > 1 else 0.0
        level = 20 * np.log10(np.std(found[:length]) / np.std(expected[:length])) if length > 1 else -np.inf
        # Of an ADPCM or GSM file the last block may be padding.
        lengths = 650 if subtype in LOSSY else 2
        if not (similar >= 0.999 and abs(level) <= 0.1 and abs(len(found) - len(expected)) <= lengths):
            wrong[key] = (round(float(similar), 4), round(float(level), 2), len(found), len(expected))
    return wrong


@pytest.mark.parametrize("place", ["built", "indexed"])
def test_sound_of_every_format_rate_and_channels_comes_back_right(everything, place):
    corpus, numbers, indexes = everything
    assert len(numbers) > 250
    assert {key.split("-")[0].upper() for key in numbers} == {*EVERYWHERE, *RARE}
    assert {key.split("-")[1].upper() for key in numbers} == {*PCM, *LOSSY, *COMPRESSED}
    assert indexes[place]["drops"] == {}
    not_compared = ("pvf", "paf", "ircam", "mat4", "mat5", "mpc2k")
    without_length = sum(key.split("-")[0] in not_compared for key in numbers)
    assert indexes[place]["length_unknown"]["count"] == without_length
    assert wrong_ones(corpus, numbers, place) == {}


@pytest.mark.parametrize("place", ["built", "indexed"])
def test_sound_of_every_format_is_sound_to_verify(everything, place):
    corpus, numbers, _ = everything
    (found,) = verify_shards(str(corpus.folder / place), None, workers=1, advance=lambda _: None)
    assert (found.problems, found.utterances) == ([], len(numbers))


def test_float_read_from_a_tar_indexed_before_is_right_now(tmp_path, monkeypatch):
    audio = speechlike(1, 16_000)
    corpus = Corpus(tmp_path, {"a": encode(audio, 16_000, "WAV", "FLOAT")})
    with monkeypatch.context() as patch:
        # As it was: float read as integers, so -1, 0 and 1.
        patch.setattr("shards.foreign.survey_tar.decode", lambda *_, **__: np.sign(audio).astype(np.int16))
        corpus.index()
    assert np.abs(corpus.audio("indexed")["a"] - audio).max() < 1e-4


def test_extensible_formats_are_read_where_libsndfile_misreads_them():
    for channels in (1, 2):
        audio = speechlike(SECONDS, 22_050, channels=channels)
        for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"):
            for container, options in (("W64", {}), ("WAV", {"endian": "BIG"})):
                plain = encode(audio, 22_050, container, subtype, **options)
                assert extensible(plain) != plain
                assert np.array_equal(decode(extensible(plain)), decode(plain)), (container, subtype, channels)
    wrong = np.full(16_000, 0.5)
    wrong[-1] = np.nan
    with pytest.raises(UndecodableError) as error:
        decode(extensible(encode(wrong, 16_000, "W64", "FLOAT")))
    assert error.value.reason == "not_finite"


def test_mild_overs_are_clipped_as_they_were(tmp_path):
    loud = 1.3 * np.sin(np.arange(16_000) / 20)
    for subtype in ("FLOAT", "DOUBLE"):
        found = decode(encode(loud, 16_000, "WAV", subtype)) / 32768
        assert np.abs(found - np.clip(loud, -1, 32767 / 32768)).max() < 1e-4


def bad_floats():
    good = speechlike(1, 16_000)
    for rate, channels in ((16_000, 1), (44_100, 2)):
        audio = speechlike(1, rate, channels=channels)
        for container, subtype in (
            ("WAV", "FLOAT"),
            ("WAV", "DOUBLE"),
            ("AIFF", "FLOAT"),
            ("CAF", "DOUBLE"),
            ("W64", "FLOAT"),
            ("AU", "FLOAT"),
        ):
            name = f"{container}-{subtype}-{rate}-{channels}"
            for value in (np.nan, np.inf, -np.inf):
                holed = audio.copy()
                holed[500] = value
                yield f"not_finite-{value}-{name}", encode(holed, rate, container, subtype)
            for scale in (32_768.0, 8_388_608.0, 128.0):
                yield f"float_scale-{scale:.0f}-{name}", encode(audio * scale, rate, container, subtype)
    yield "kept", encode(good, 16_000, "WAV", "FLOAT")


def test_samples_not_finite_or_wrongly_scaled_are_named_by_build_and_index(tmp_path):
    corpus = Corpus(tmp_path, dict(bad_floats()))
    expected = {
        reason: sum(key.startswith(reason) for key in corpus.recordings) for reason in ("not_finite", "float_scale")
    }
    for index in (corpus.build(), corpus.index()):
        assert {reason: entry["count"] for reason, entry in index["drops"].items()} == expected
        assert "1 of its 16,000 float samples" in " ".join(index["drops"]["not_finite"]["examples"])
        assert "expected -1 … 1" in index["drops"]["float_scale"]["examples"][0]
    assert list(corpus.audio("built")) == list(corpus.audio("indexed")) == ["kept"]
    assert {"not_finite", "float_scale", "cut_short"} <= REASONS.keys()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(np.r_[np.nan, speechlike(1, 16_000)], 16_000, "WAV", "FLOAT"), "NaN or infinite"),
        (encode(32_768 * speechlike(1, 16_000), 16_000, "WAV", "FLOAT"), "float samples reach 1"),
        (encode(speechlike(1, 16_000), 16_000, "WAV")[:20_000], r"ends after 0\.62 s of 1\.00 s"),
    ],
    ids=["nan", "scale", "cut"],
)
def test_bad_sound_that_was_indexed_before_is_named_by_read_and_verify(data, message, tmp_path, monkeypatch):
    corpus = Corpus(tmp_path, {"good": encode(speechlike(1, 16_000, seed=1), 16_000, "WAV"), "bad": data})
    with monkeypatch.context() as patch:
        patch.setattr("shards.foreign.survey_tar.decode", lambda *_, **__: np.arange(16_000, dtype=np.int16))
        patch.setattr("shards.foreign.survey_tar.facts_of", lambda _: RecordingFacts(16_000, 1.0, False))
        corpus.index()
    root = str(tmp_path / "indexed")
    reader = ShardReader(ShardIndex.load(root))
    assert len(reader.read("eng", "train", 0).audio) == 16_000
    with pytest.raises(DamagedSampleError, match=message):
        reader.read("eng", "train", 1)
    (found,) = verify_shards(root, None, workers=1, advance=lambda _: None)
    (problem,) = map(str, found.problems)
    assert "utterance bad (eng, row 1)" in problem
    assert "index it again with 'mms-dist shards index" in found.fix


def test_flac_of_16_khz_is_decoded_into_the_memory_given_bit_for_bit():
    audio = np.random.default_rng(0).integers(-20_000, 20_000, 20_000).astype(np.int16)
    target = np.zeros(30_000, dtype=np.int16)
    found = decode(encode(audio, 16_000, "FLAC", "PCM_16"), lambda samples: target[:samples])
    assert np.shares_memory(found, target)
    assert np.array_equal(found, audio)


def test_recordings_below_8_khz_are_refused_before_they_are_resampled(tmp_path):
    # One sample a second would become 16,000 times as many.
    slow = patched(encode(speechlike(1, 16_000), 16_000, "WAV"), (24, (1).to_bytes(4, "little")))
    low = encode(speechlike(1, 7_999), 7_999, "WAV")
    corpus = Corpus(tmp_path, {"slow": slow, "low": low, "good": encode(speechlike(1, 8_000), 8_000, "WAV")})
    for index in (corpus.build(), corpus.index()):
        assert {reason: entry["count"] for reason, entry in index["drops"].items()} == {"sample_rate": 2}


def test_what_is_too_long_is_told_by_its_header_and_not_decoded(tmp_path, monkeypatch):
    long = encode(np.tile(speechlike(1, 16_000), 40), 16_000, "WAV")
    corpus = Corpus(tmp_path, {"long": long, "good": encode(speechlike(1, 16_000), 16_000, "WAV")})
    monkeypatch.setattr(Recording, "all", lambda self, channel=None: decode_unless_long(self))

    def decode_unless_long(recording):
        assert recording.seconds < 30
        return recording.cut(0, recording.seconds)

    for index in (corpus.build(), corpus.index()):
        assert index["drops"]["too_long"]["count"] == 1
        assert "40.00 s, limit 30.0 s" in index["drops"]["too_long"]["examples"][0]


def test_a_recording_whose_decoder_only_goes_forward_is_cut_anywhere():
    data = encode(speechlike(2, 16_000), 16_000, "WAV", "GSM610")
    with Recording(MemorySource(data)) as recording:
        whole = recording.all()
        for start, end in ((1.0, 1.5), (0.25, 0.75), (0.75, 1.0), (0.0, 0.5)):
            assert np.array_equal(recording.cut(start, end), whole[round(start * 16_000) : round(end * 16_000)])
