"""Make the parts with real speech, and the test sets. The demo corpus is only ever used to evaluate."""

from collections.abc import Iterable
from pathlib import Path

from tools.tiny_mms.engines.espeak import EspeakEngine
from tools.tiny_mms.espeak import synthesizer
from tools.tiny_mms.languages import DEMO_VOICES, UNSEEN_LANGUAGES, UNSEEN_VARIANTS
from tools.tiny_mms.parts import Utterance, write_part
from tools.tiny_mms.recordings import (
    RECORDED_LANGUAGES,
    Recording,
    demo_recordings,
    letter_recordings,
    recordings,
)
from tools.tiny_mms.speak import make_part
from tools.tiny_mms.texts import PhrasePool

UNSEEN_RECORDED, DEMO_DEV = "recorded", "demo-dev"
_TEST_SCENES_EVERY = 12
_UNSEEN_SECONDS = 60.0  # a language


def _labelled(recording: Recording, language: str) -> Utterance:
    phones = [ipa for ipa, _ in synthesizer().speak(recording.text, language).phones]
    return Utterance(recording.samples_T, language, recording.scene, recording.text, phones)


def _write(path: Path, utterances: Iterable[Utterance]) -> None:
    if not path.exists():
        write_part(path, utterances)


def _split(folder: Path) -> tuple[list[Recording], list[Recording]]:
    """Return recordings for training and for testing: whole levels of the game are held out."""
    scenes: dict[str, int] = {}
    train: list[Recording] = []
    test: list[Recording] = []
    for one in recordings(folder):
        held_out = scenes.setdefault(one.scene, len(scenes)) % _TEST_SCENES_EVERY == 0
        (test if held_out else train).append(one)
    return train, test


def make_recorded_parts(folder: Path, packages: Path) -> None:
    """Make the parts ``recorded-…`` from the unpacked ``packages``; those that are there stay."""
    train, _ = _split(packages)
    for language in RECORDED_LANGUAGES:
        spoken = (_labelled(one, language) for one in train if one.language == language)
        _write(folder / f"recorded-fillets-{language}", spoken)
    letters = (_labelled(one, one.language) for one in letter_recordings(packages))
    _write(folder / "recorded-letters", letters)


def make_tests(folder: Path, texts: dict[str, PhrasePool], packages: Path | None, demo_manifest: Path | None) -> None:
    """Make the test sets: unseen languages with unseen voices, unseen recordings, and dev sentences of the demo."""
    for language in UNSEEN_LANGUAGES:
        engine = EspeakEngine((language,), UNSEEN_VARIANTS)
        make_part(folder, f"unseen-{language.voice}", engine, texts, _UNSEEN_SECONDS, 0)
    if packages:
        _write(folder / UNSEEN_RECORDED, (_labelled(one, one.language) for one in _split(packages)[1]))
    if demo_manifest:
        spoken = demo_recordings(demo_manifest, ("dev",))
        _write(folder / DEMO_DEV, (_labelled(one, DEMO_VOICES[one.language]) for one in spoken))
