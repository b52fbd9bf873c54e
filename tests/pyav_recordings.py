"""Recordings in formats that libsndfile does not read, encoded with PyAV."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray


def encode_with_pyav(
    audio: NDArray[np.float64], rate: int, container: str, codec: str, *, picture: bool = False
) -> bytes:
    """`audio`, `[F]` or `[F, C]`, as FFmpeg writes it; with `picture`, as the sound of a video."""
    planes = np.ascontiguousarray(np.atleast_2d(audio.T).astype(np.float32))
    layout = "stereo" if len(planes) == 2 else "mono"
    target = io.BytesIO()
    with av.open(target, "w", format=container) as file:
        if picture:
            video = file.add_stream("mpeg4", rate=10)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        sound = file.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        context = sound.codec_context
        pieces = av.AudioResampler(context.format.name, layout, rate, context.frame_size or 1024)
        for piece in pieces.resample(frame) + pieces.resample(None):
            file.mux(sound.encode(piece))
        file.mux(sound.encode(None))
        if picture:
            for _ in range(10 * planes.shape[1] // rate):
                file.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
            file.mux(video.encode(None))
    return target.getvalue()
