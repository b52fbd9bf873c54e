"""What a rank leaves behind when it has done: threads of a process group may abort the interpreter's own end."""

from pathlib import Path

from tests.corpus import build_toy_shards
from tests.distributed.launch import accelerate
from tests.training import toy_config


def test_no_thread_of_a_process_group_lives_on_after_training(tmp_path: Path, small_base: Path) -> None:
    """By a real launcher: what is imported when decides it. Two languages on three ranks make a block of two."""
    shards = build_toy_shards(tmp_path, languages=2, train=8, dev=2)
    config = toy_config(tmp_path / "run", small_base, shards, checkpoint={"every_rounds": 50})
    with accelerate(config, 3, module="tests.distributed.train_and_count_threads") as launch:
        ended = launch.wait()
    assert ended.code == 0, ended.log
    assert ended.log.count("after training: 0 threads of groups") == 3, ended.log
