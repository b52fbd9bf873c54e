"""I1: what a language becomes is a function of its own data, settings and seed."""

from pathlib import Path

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.monitor.events import read_events
from tests.corpus import build_toy_shards, toy_languages
from tests.training import distance, final_row, start_row, toy_config, train

LANGUAGES = toy_languages(8)
STEPS = 200
SPEEDS = [0.9, 1.0, 1.1]
SPEAKERS = ["anna", "anna", "anna", "bela"]
BALANCE = {"by": "speaker", "cap_seconds": 4.0, "temperature": 2.0, "weights": {"anna": 0.5}}
BOUND = {"float64": 1e-9, "float32": 1e-3}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("joint"), languages=8, train=6, dev=2, speakers=SPEAKERS)


@pytest.mark.parametrize("dtype", sorted(BOUND))
def test_eight_languages_together_equal_each_alone_after_200_steps(
    tmp_path: Path, small_base: Path, shards: Path, dtype: str
) -> None:
    def config(name: str, languages: list[str]):  # type: ignore[no-untyped-def]
        return toy_config(
            tmp_path / name,
            small_base,
            shards,
            data={"languages": languages},
            model={"dtype": dtype},
            augment={"speed": SPEEDS},
            balance=BALANCE,
            optim={"steps": STEPS, "batch_seconds": 2.0},
            evaluation={"every_steps": STEPS},
            checkpoint={"every_rounds": STEPS},
        )

    train(config("joint", LANGUAGES))
    start_row(tmp_path / "start", LANGUAGES[0], config("start", LANGUAGES))  # of all languages
    for language in LANGUAGES:
        alone = config(f"alone-{language}", [language])
        train(alone)
        start = final_row(tmp_path / "start", language)
        joint_row, alone_row = (final_row(tmp_path / name, language) for name in ("joint", f"alone-{language}"))
        assert distance(joint_row, alone_row, start) <= BOUND[dtype]
        with (
            CheckpointStore(tmp_path / "joint" / "adapters", keep=2) as joint,
            CheckpointStore(tmp_path / f"alone-{language}" / "adapters", keep=2) as single,
        ):
            assert joint.load(language).state["best"]["cer"] == single.load(language).state["best"]["cer"]


def test_slots_and_queue_change_no_adapter(tmp_path: Path, small_base: Path, shards: Path) -> None:
    def run(name: str, slots: int) -> Path:
        train(
            toy_config(
                tmp_path / name,
                small_base,
                shards,
                model={"dtype": "float64"},
                augment={"speed": SPEEDS},
                rounds={"slots": slots},
                optim={"steps": 10},
                evaluation={"every_steps": 10},
            )
        )
        return tmp_path / name

    together, queued = run("together", 8), run("queued", 3)
    for language in LANGUAGES:
        joint, waited = final_row(together, language), final_row(queued, language)
        assert float((joint - waited).norm() / joint.norm()) <= 1e-12


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"workers": 0, "prefetch_rounds": 0}},
        {"data": {"workers": 3, "prefetch_rounds": 5}},
    ],
)
def test_workers_and_prefetch_change_no_bit(tmp_path: Path, small_base: Path, shards: Path, changes: dict) -> None:
    changes |= {"augment": {"speed": SPEEDS}}
    train(toy_config(tmp_path / "plain", small_base, shards, augment={"speed": SPEEDS}))
    train(toy_config(tmp_path / "changed", small_base, shards, **changes))
    for language in LANGUAGES:
        assert final_row(tmp_path / "plain", language).equal(final_row(tmp_path / "changed", language))


def test_the_feature_cache_gives_the_same_adapters(tmp_path: Path, small_base: Path, shards: Path) -> None:
    """Each version of a recording has its own features: the first that is drawn is not kept for all epochs."""
    settings: dict = {"model": {"dtype": "float64", "feature_cache_gib": 0.0}, "augment": {"speed": SPEEDS}}
    train(toy_config(tmp_path / "plain", small_base, shards, **settings))
    cached = settings | {"model": {"dtype": "float64", "feature_cache_gib": 0.5}}
    train(toy_config(tmp_path / "cached", small_base, shards, **cached))
    for language in LANGUAGES:
        plain, changed = final_row(tmp_path / "plain", language), final_row(tmp_path / "cached", language)
        assert float((plain - changed).norm() / plain.norm()) <= 1e-12


def test_evaluation_hears_recordings_as_they_are(tmp_path: Path, small_base: Path, shards: Path) -> None:
    scores = []
    for name, speed in (("plain", None), ("speed", [0.5, 2.0])):
        settings: dict = {"data": {"languages": LANGUAGES[:1]}, "optim": {"steps": 1, "warmup_steps": 0, "lr": 1e-9}}
        train(toy_config(tmp_path / name, small_base, shards, augment={"speed": speed}, **settings))
        evaluated = [each for each in read_events(tmp_path / name / "events.jsonl") if each["kind"] == "evaluated"]
        scores.append([(each["step"], each["cer"]) for each in evaluated])
    assert scores[0] == scores[1] and len(scores[0]) == 2
