"""The corpus of the shipped base: parts are whole or absent, and depend on their number only."""

import random
import sys
from pathlib import Path

import numpy as np

from tools.tiny_mms.engines.server import SpeechServer
from tools.tiny_mms.engines.speech import EngineVoice, Spoken
from tools.tiny_mms.mixture import BATCHES_PER_BLOCK, Mixture, Parts, Plan, source_of
from tools.tiny_mms.parts import SAMPLE_RATE_HZ, Utterance, read_part, write_part
from tools.tiny_mms.phones import PhoneInventory
from tools.tiny_mms.sound import trimmed
from tools.tiny_mms.speak import make_part
from tools.tiny_mms.texts import PhrasePool

SERVER = """
import json, struct, sys
for line in sys.stdin:
    count = json.loads(line)["count"]
    sys.stdout.buffer.write(struct.pack("<ii", count, 8000) + b"\\0\\x40" * count)
    sys.stdout.buffer.flush()
"""


class Beeper:
    """Says every text as noise of a second or two, and knows where its two phones are."""

    voices: tuple[EngineVoice, ...] = (EngineVoice("one", "de"), EngineVoice("two", "de"))

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Make noise."""
        samples = generator.randint(SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ)
        noise_T = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
        return Spoken(noise_T, SAMPLE_RATE_HZ, [("a", 0), ("b", samples // 2)])


def utterance(samples: int, seed: int = 0) -> Utterance:
    """Return noise with the phones a and b."""
    noise_T = np.random.default_rng(seed).integers(-9999, 9999, samples).astype(np.int16)
    return Utterance(noise_T, "de", "noise", "ab", ["a", "b"], [0, samples // 2])


def test_a_part_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = [utterance(9000, 1), utterance(12_000, 2)]
    assert write_part(tmp_path / "part", written) == 21_000 / SAMPLE_RATE_HZ
    for before, after in zip(written, read_part(tmp_path / "part"), strict=True):
        assert np.array_equal(before.samples_T, after.samples_T)
        assert (before.phones, before.starts, before.text) == (after.phones, after.starts, after.text)


def test_a_part_that_was_not_finished_is_not_used(tmp_path: Path) -> None:
    write_part(tmp_path / "noise-000", [utterance(9000)])
    (tmp_path / "noise-001.incomplete").mkdir()
    assert Parts(tmp_path).complete() == ["noise-000"]


def test_a_part_depends_on_its_number_and_not_on_those_before_it(tmp_path: Path) -> None:
    texts = {"de": PhrasePool(["eins zwei", "drei vier", "fünf sechs sieben"])}
    for number in (0, 1):
        make_part(tmp_path / "all", "beep", Beeper(), texts, 5.0, number)
    make_part(tmp_path / "one", "beep", Beeper(), texts, 5.0, 1)
    audio = [
        (tmp_path / folder / "audio.bin").read_bytes() for folder in ("all/beep-000", "all/beep-001", "one/beep-001")
    ]
    assert audio[1] == audio[2] and audio[0] != audio[1]


def test_the_place_of_phones_follows_the_speed_that_the_voice_was_given(tmp_path: Path) -> None:
    make_part(tmp_path, "beep", Beeper(), {"de": PhrasePool(["eins zwei drei"])}, 5.0, 0)
    for one in read_part(tmp_path / "beep-000"):
        assert one.starts is not None
        assert abs(one.starts[1] - len(one.samples_T) / 2) <= 2


def test_silence_around_speech_is_cut_but_for_a_little() -> None:
    speech_T = np.concatenate([np.zeros(16_000), np.ones(8000), np.zeros(16_000)]).astype(np.float32)
    cut_T, first = trimmed(speech_T, 16_000)
    assert first == 16_000 - 1280
    assert abs(len(cut_T) - (8000 + 2 * 1280)) <= 1


def test_a_synthesiser_in_another_process_answers_with_sound_or_nothing() -> None:
    server = SpeechServer([sys.executable, "-c", SERVER])
    spoken = server.ask(count=5)
    assert spoken is not None and spoken.rate_hz == 8000
    assert np.array_equal(spoken.samples_T, np.full(5, 0.5, np.float32))
    assert server.ask(count=0) is None
    server.close()


def test_new_parts_change_no_block_before_the_one_they_were_entered_at(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "plan.jsonl")
    plan.enter(0, ["a-000"])
    plan.enter(7, ["a-000", "b-000"])
    for reopened in (plan, Plan(tmp_path / "plan.jsonl")):
        assert [reopened.at(block) for block in (0, 6, 7)] == [["a-000"], ["a-000"], ["a-000", "b-000"]]
    again = Plan(tmp_path / "plan.jsonl")
    again.enter(3, ["a-000", "b-000", "c-000"])  # trained again from an older checkpoint
    assert again.at(5) == ["a-000"]


def test_a_block_has_its_batches_by_number_and_its_sources_by_share(tmp_path: Path) -> None:
    for source in ("x", "y"):
        write_part(tmp_path / f"{source}-000", [utterance(8000 + 400 * number, number) for number in range(20)])
    mixture = Mixture(Parts(tmp_path), PhoneInventory(["a", "b"]), {"x": 0.75, "y": 0.25, "absent": 0.5}, 3)
    blocks = [mixture.block(number, ["x-000", "y-000"], 8.0) for number in (5, 5, 6)]
    lengths = [[[len(one.samples_T) for one in batch] for batch in block] for block in blocks]
    assert lengths[0] == lengths[1] != lengths[2]
    assert len(blocks[0]) == BATCHES_PER_BLOCK and all(blocks[0])
    seconds = [sum(batch) / SAMPLE_RATE_HZ for batch in lengths[0]]
    assert min(seconds) > 6.0 and max(seconds) < 10.0
    ours = {id(one) for one in mixture.parts["x-000"]}
    share = np.mean([id(one) in ours for batch in blocks[0] for one in batch])
    assert 0.65 < share < 0.85
    assert source_of("espeak-pt-br-002") == "espeak"
