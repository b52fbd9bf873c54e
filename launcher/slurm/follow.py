"""Commands to follow and stop a job."""

import getpass
import shlex
import socket
from pathlib import Path

from launcher.slurm.subject import JobSubject
from launcher.slurm.submission import Submission

PORT = 6006


def follow_lines(submission: Submission, job: str, subject: JobSubject) -> list[str]:
    """Return lines of a purpose and its command."""
    lines = [("queue", f"squeue --jobs {job}"), ("log", f"tail -F {shlex.quote(str(submission.log(job)))}")]
    if submission.script == "train":
        lines += [("progress", f"mms-dist status {shlex.quote(str(subject.folder))}"), *_curves(subject.folder)]
        lines += [("save and requeue", f"scancel --batch --signal=USR1 {job}")]
    lines.append(("stop", f"scancel {job}"))
    width = max(len(purpose) for purpose, _ in lines)
    return [f"{purpose:<{width}}  {command}" for purpose, command in lines]


def _curves(run: Path) -> list[tuple[str, str]]:
    """Return commands to run TensorBoard on this machine and view it in a browser elsewhere."""
    folder, here = shlex.quote(str(run / "tensorboard")), f"{getpass.getuser()}@{socket.gethostname()}"
    return [
        ("curves, here", f"tensorboard --logdir {folder} --port {PORT}"),
        ("… at your desk", f"ssh -N -L {PORT}:localhost:{PORT} {here}   # then open http://localhost:{PORT}"),
    ]
