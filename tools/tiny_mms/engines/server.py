"""Synthesisers that need another Python or C library than ours, each as a process that is asked line by line.

A request is one line of JSON; the answer is two little-endian int32, samples and sampling rate, then the samples as
int16. Zero samples mean that the text could not be spoken.
"""

import json
import struct
import subprocess
from typing import Any

import numpy as np

from tools.tiny_mms.engines.speech import Spoken


class SpeechServer:
    """One running process. ``command`` starts it."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **request: Any) -> Spoken | None:
        """Send one request and return what was said.

        Raises:
            RuntimeError: the process ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        header = self._process.stdout.read(8)
        if len(header) < 8:
            raise RuntimeError(f"the synthesiser ended with status {self._process.wait()}")
        samples, rate_hz = struct.unpack("<ii", header)
        said = np.frombuffer(self._process.stdout.read(2 * samples), "<i2")
        return Spoken(said.astype(np.float32) / np.float32(32768), rate_hz) if samples else None

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
