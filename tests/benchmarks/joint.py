"""`mms-dist train` as it is, with its import and its round loop timed: the process the comparator times.

python -m tests.benchmarks.joint CONFIG.yaml RESULT.json
"""

import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from unittest.mock import patch

STARTED = perf_counter()

from launcher.cli import main as command_line  # noqa: E402


def main(config_path: str, result_path: str) -> int:
    from mms_dist.training.gradients import GradientPass, RoundLosses
    from mms_dist.training.loop import RoundLoop

    figures = {"import_seconds": perf_counter() - STARTED, "train_seconds": 0.0, "audio_seconds": 0.0, "updates": 0}
    run, accumulate = RoundLoop.run, GradientPass.accumulate

    def timed_run(loop: RoundLoop) -> str:
        began, cpu_began = perf_counter(), process_time()
        outcome = run(loop)
        figures["train_cpu_seconds"] = process_time() - cpu_began
        figures["train_seconds"] = perf_counter() - began
        return outcome

    def counted(gradients: GradientPass, *arguments: object) -> RoundLosses:
        losses = accumulate(gradients, *arguments)  # type: ignore[arg-type]
        figures["audio_seconds"] += losses.audio_seconds
        figures["updates"] += len(losses.losses)
        return losses

    with patch.object(RoundLoop, "run", timed_run), patch.object(GradientPass, "accumulate", counted):
        status = command_line(["train", "--config", config_path])
    Path(result_path).write_text(json.dumps(figures), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
