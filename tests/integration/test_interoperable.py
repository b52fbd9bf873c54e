"""I8: what we write, Hugging Face loads, and hears the same; what Hugging Face wrote, we start from."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

from mms_dist.data.batch import Utterance
from mms_dist.data.collate import collate
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import CheckpointError, MmsDistError
from mms_dist.model.routed import ModelInput
from mms_dist.model.waveform import normalised
from mms_dist.monitor.event_lines import EventLines
from mms_dist.monitor.events import read_events
from mms_dist.publishing.export import export_run
from mms_dist.training.components import RunComponents
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.conftest import small_base_config
from tests.corpus import build_toy_shards, toy_languages
from tests.training import final_row, start_row, toy_config, train, train_watched

LANGUAGES = toy_languages(3)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("exported"), languages=3, train=10, dev=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> Path:
    directory = tmp_path_factory.mktemp("run")
    # Few and small steps: after more, the toy model says nothing for a while, and silence compares well with anything.
    train(toy_config(directory, small_base, shards, optim={"steps": 6, "lr": 1e-3}))
    return directory


@dataclass
class Heard:
    """What our own model makes of a language's dev split: logits [T, V] and transcript of each utterance."""

    logits: list[Tensor]
    texts: list[str]


def what_we_hear(run: Path, base: Path, shards: Path) -> dict[str, Heard]:
    found: dict[str, Heard] = {}

    def look(components: RunComponents) -> None:
        for active in components.loop.slot_manager.in_order():
            index, language = components.language_slots.index.language(active.language), active.language
            if language in found:
                continue
            table = index.table("dev")
            logits = []
            for row in range(len(table)):
                raw = ShardReader(components.language_slots.index).read(language, "dev", row)
                frames = int(table.frames[row])
                member = Utterance(
                    id=UtteranceId(language, "dev", row),
                    key=raw.key,
                    epoch=0,
                    audio=raw.audio,
                    labels=np.zeros(1, np.int32),
                    text=raw.text,
                    frames=frames,
                )
                collated = collate([member], seed=0)
                audio_1S = normalised(collated.audio_BS, collated.samples_B)
                batch = ModelInput(
                    components.base.features(audio_1S), torch.tensor([frames]), torch.tensor([active.slot])
                )
                logits.append(components.model.logits(batch)[0].detach())
            texts = components.evaluator.transcribe(index, "dev", active.slot).hypotheses
            found[language] = Heard(logits, texts)

    # One step more, so that the languages are active again; we listen before it is taken.
    train_watched(toy_config(run, base, shards, optim={"steps": 7, "lr": 1e-3}), look)
    return found


def without_special_tokens(text: str) -> str:
    """Their decoder prints what only a nearly untrained model ever emits."""
    return " ".join(re.sub("<s>|</s>|<unk>", "", text).split())


def test_an_export_gives_the_same_logits_and_transcripts_in_hugging_face(
    tmp_path: Path, small_base: Path, shards: Path, run: Path
) -> None:
    folder = tmp_path / "export"
    export_run(run, folder, base_path=str(small_base), pointer="last")
    ours = what_we_hear(run, small_base, shards)
    reader = ShardReader(ShardIndex.load(str(shards)))
    heard_something = False
    for language in LANGUAGES:
        processor = Wav2Vec2Processor.from_pretrained(folder, target_lang=language)
        model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang=language, ignore_mismatched_sizes=True).eval()
        for row, (logits_TV, text) in enumerate(zip(ours[language].logits, ours[language].texts, strict=True)):
            raw = reader.read(language, "dev", row)
            inputs = processor(raw.audio / 32768.0, sampling_rate=16_000, return_tensors="pt")
            with torch.no_grad():
                theirs_TV = model(**inputs).logits[0]
            torch.testing.assert_close(logits_TV, theirs_TV, rtol=0, atol=1e-5)
            assert without_special_tokens(processor.batch_decode(theirs_TV.argmax(-1)[None])[0]) == text
            heard_something = heard_something or bool(text)
    assert heard_something, "every transcript was empty: the comparison says nothing"


def test_every_language_can_start_from_its_own_exported_adapter(
    tmp_path: Path, small_base: Path, shards: Path, run: Path
) -> None:
    folder = tmp_path / "export"
    export_run(run, folder, base_path=str(small_base), pointer="last")
    config = toy_config(tmp_path / "next", small_base, shards, adapter={"init": str(folder)})
    for language in LANGUAGES:
        assert start_row(tmp_path / f"start-{language}", language, config).equal(final_row(run, language))


def test_a_head_of_another_vocabulary_is_mapped_and_the_log_says_so(
    tmp_path: Path, small_base: Path, shards: Path, run: Path
) -> None:
    language = LANGUAGES[0]
    folder = tmp_path / "export"
    export_run(run, folder, base_path=str(small_base), pointer="last")
    other = build_toy_shards(tmp_path / "other", languages=1, train=10, dev=3)
    tokens = json.loads((other / language / "vocab.json").read_text())[language]
    renamed = {language: {"ß" if token == "c" else token: number for token, number in tokens.items()}}
    (other / language / "vocab.json").write_text(json.dumps(renamed))
    config = toy_config(tmp_path / "next", small_base, other, adapter={"init": str(folder)}, optim={"steps": 4})
    heads: list[dict[str, torch.Tensor]] = []

    def look(components: RunComponents) -> None:
        (active,) = components.loop.slot_manager.in_order()
        if not heads:
            heads.append({name: tensor.clone() for name, tensor in components.bank.tensors(active.slot).items()})

    train_watched(config, look)
    trained = load_file(folder / f"adapter.{language}.safetensors")["lm_head.weight"]
    same = [number for token, number in tokens.items() if token != "c"]
    assert heads[0]["lm_head.weight"][same].equal(trained[same])
    assert not heads[0]["lm_head.weight"][tokens["c"]].equal(trained[tokens["c"]])
    train(toy_config(tmp_path / "logged", small_base, other, adapter={"init": str(folder)}, optim={"steps": 4}))
    (event,) = [one for one in read_events(tmp_path / "logged" / "events.jsonl") if one["kind"] == "head_mapped"]
    assert (event["language"], event["taken"], event["new"], event["unused"]) == (language, len(tokens) - 1, "ß", 1)
    line = EventLines().line(event, None)
    assert line is not None and "1 new (ß)" in line


def test_all_languages_can_start_from_one_adapter_of_hugging_face(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    torch.manual_seed(3)
    theirs = Wav2Vec2ForCTC(small_base_config(adapter_attn_dim=8, vocab_size=99))
    path = tmp_path / "adapter.eng.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in theirs._get_adapters().items()}, path, {"format": "pt"})
    config = toy_config(tmp_path / "run", small_base, shards, adapter={"init": str(path)})

    def look(components: RunComponents) -> None:
        for active in components.loop.slot_manager.in_order():
            own = components.bank.tensors(active.slot)
            assert len(own["lm_head.bias"]) == len(active.vocabulary) != 99
            for name, tensor in theirs._get_adapters().items():
                if "adapter_layer" in name and components.loop.round == 0:
                    assert torch.equal(own[name], tensor)

    train_watched(config, look)


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        ({"init": "absent.safetensors"}, "neither a scheme"),
        ({"init": "EXPORT", "dim": 4}, "set adapter.dim to 8"),
    ],
)
def test_an_initial_adapter_that_does_not_fit_is_named_with_a_fix(
    tmp_path: Path, small_base: Path, shards: Path, run: Path, adapter: dict, expected: str
) -> None:
    export_run(run, tmp_path / "export", base_path=str(small_base), pointer="last")
    adapter = {name: str(tmp_path / "export") if value == "EXPORT" else value for name, value in adapter.items()}
    with pytest.raises(MmsDistError, match=expected):
        train(toy_config(tmp_path / "run", small_base, shards, adapter=adapter))


def test_a_changed_vocabulary_is_refused_before_it_can_spoil_a_head(
    tmp_path: Path, small_base: Path, shards: Path, run: Path
) -> None:
    other = build_toy_shards(tmp_path / "other", languages=3, train=10, dev=3, seed=5)
    vocabulary = (other / LANGUAGES[0] / "vocab.json").read_text().replace('"a": 5', '"z": 5')
    (other / LANGUAGES[0] / "vocab.json").write_text(vocabulary)
    with pytest.raises(CheckpointError, match="has a vocabulary of"):
        train(toy_config(run, small_base, other, optim={"steps": 50}))
