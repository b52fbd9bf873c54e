"""Compare ONNX files with torch on recordings of a language: the same text, and how many errors each makes.

Legend: N samples, T frames, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mms_dist.config import Config
from mms_dist.data.utterance_source import shard_cache
from mms_dist.errors import DataError, MmsDistError
from mms_dist.evaluation.evaluator import chosen
from mms_dist.evaluation.metrics import Scores, measure
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.publishing.exported_language import format_error_rate
from mms_dist.publishing.onnx_graph import WaveformToLogits, decodable
from shards.errors import DamagedSampleError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.vocabulary import BLANK, SPACE, Vocabulary
from shards.wording import counted

TOLERANCE = 1e-3
"""Most that a float32 file's logits may differ from torch's, as a fraction of the largest logit."""
INT8_TOLERANCE = 0.01
"""int8 holds if it adds at most this to the CER: one wrong character in a hundred."""
_INT16_STEP = 2.0**-15
SPLITS = ("test", "dev")


class OnnxError(MmsDistError):
    """An ONNX file does not compute what torch does."""


@dataclass(frozen=True)
class Recording:
    """A recording and its transcript: `waveform` float32 [N] in [-1, 1)."""

    waveform: np.ndarray
    text: str


@dataclass(frozen=True)
class FileCheck:
    """An ONNX file: its size, and its scores beside those of torch. `same_texts`: of how many recordings the text is
    torch's. `largest_difference`: of logits, as a fraction of the largest one."""

    name: str
    bytes: int
    scores: Scores
    same_texts: int
    largest_difference: float


@dataclass(frozen=True)
class OnnxCheck:
    """The ONNX files of a language on recordings of a split, and torch in float32 on the same."""

    split: str
    torch: Scores
    files: tuple[FileCheck, ...]

    @property
    def int8_holds(self) -> bool:
        """Whether the last file, int8, adds no more than `INT8_TOLERANCE` to the CER of torch."""
        return self.files[-1].scores.cer - self.torch.cer <= INT8_TOLERANCE

    @property
    def verdict(self) -> str:
        """Whether int8 may replace float32, for people."""
        added = 100 * (self.files[-1].scores.cer - self.torch.cer)
        held = "holds" if self.int8_holds else "does not hold"
        most = f"{100 * INT8_TOLERANCE:g}"
        return f"int8 {held}: its CER is {added:+.1f} points from torch's, where up to {most} more is accepted"


def read_recordings(config: Config, language: str, most: int) -> tuple[str, list[Recording]]:
    """Read recordings of test, or of dev if there is no test: the same ones as an evaluation of so many.

    Raises:
        DataError: there is none that can be read.
        ShardsError: the shards are missing.
    """
    fix = "name the shards with --data.shards PATH, or skip the comparison with --check-utterances 0"
    index = ShardIndex.load(config.data.shards, [language])
    split = next((split for split in SPLITS if index.language(language).utterances(split)), None)
    if split is None:
        raise DataError(f"{language} has no test and no dev utterances to compare the ONNX files on", fix=fix)
    reader = ShardReader(index, shard_cache(config.data))
    try:
        found = list(_readable(reader, index, language, split, most))
    finally:
        reader.close()
    if not found:
        raise DataError(f"none of the {split} utterances of {language} can be read", fix=fix)
    return split, found


def _readable(reader: ShardReader, index: ShardIndex, language: str, split: str, most: int) -> Iterator[Recording]:
    for row in chosen(index.language(language).table(split), language, split, most).rows.tolist():
        try:
            read = reader.read(language, split, row)
        except DamagedSampleError:
            continue
        yield Recording(read.audio.astype(np.float32) * np.float32(_INT16_STEP), read.text)


@torch.no_grad()
def compare(
    module: WaveformToLogits, paths: Sequence[Path], vocabulary: Vocabulary, split: str, recordings: Sequence[Recording]
) -> OnnxCheck:
    """Transcribe the recordings with torch and with each file: float32 first, int8 last.

    Raises:
        OnnxError: the float32 file's logits differ from torch's.
    """
    references = [each.text for each in recordings]
    expected, texts = [], []
    for each in recordings:
        x = torch.from_numpy(each.waveform)[None]
        logits_1TV = module.logits(x)
        texts.append(vocabulary.decode(logits_1TV[0].argmax(-1).tolist()))
        expected.append(decodable(logits_1TV).numpy())
    files = tuple(_check(path, vocabulary, recordings, expected, texts) for path in paths)
    if files[0].largest_difference > TOLERANCE:
        raise OnnxError(
            f"logits of {files[0].name} differ from torch's by {files[0].largest_difference:.1e} of the largest, "
            f"expected at most {TOLERANCE:.0e}",
            fix="install tested versions of torch, onnxscript and onnxruntime (docs/benchmarks.md)",
        )
    return OnnxCheck(split, _scores(references, texts, vocabulary), files)


def _check(
    path: Path,
    vocabulary: Vocabulary,
    recordings: Sequence[Recording],
    expected: Sequence[np.ndarray],
    texts: Sequence[str],
) -> FileCheck:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found, differences, largest = [], [0.0], 1.0
    for each, logits_1TV in zip(recordings, expected, strict=True):
        own_1TV = session.run(None, {"x": each.waveform[None]})[0]
        found.append(joined(own_1TV[0].argmax(-1), vocabulary))
        letters = slice(SPACE, None)  # the others are masked by large numbers
        differences.append(float(np.abs(own_1TV - logits_1TV)[..., letters].max(initial=0)))
        largest = max(largest, float(np.abs(logits_1TV[..., letters]).max(initial=0)))
    same = sum(one == other for one, other in zip(found, texts, strict=True))
    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    scores = _scores([each.text for each in recordings], found, vocabulary)
    return FileCheck(path.name, size, scores, same, max(differences) / largest)


def _scores(references: Sequence[str], texts: Sequence[str], vocabulary: Vocabulary) -> Scores:
    """Score as an evaluation does by default."""
    return measure(references, texts, ScoringRules.of(vocabulary.language, references)).scores()


def joined(label_T: np.ndarray, vocabulary: Vocabulary) -> str:
    """Join repeats and drop blanks, as any program with a CTC decoder does."""
    ids = label_T[np.insert(label_T[1:] != label_T[:-1], 0, True)] if len(label_T) else label_T
    return "".join(" " if number == SPACE else vocabulary.tokens[number] for number in ids if number != BLANK)


def table_of(check: OnnxCheck) -> str:
    """Return the comparison as Markdown."""
    utterances = check.torch.utterances
    rows = [("torch, float32", "", check.torch, "")] + [
        (f"`{each.name}`", f"{each.bytes / 1e6:,.1f} MB", each.scores, f"{each.same_texts:,} of {utterances:,}")
        for each in check.files
    ]
    lines = [
        f"Greedy decoding of {counted(utterances, 'utterance')} of {check.split}:",
        "",
        "| model | size | CER | WER | transcripts equal to torch's |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {size} | {_rates(scores.cer, scores.cer_low, scores.cer_high)} | "
            f"{_rates(scores.wer, scores.wer_low, scores.wer_high)} | {same} |"
            for name, size, scores, same in rows
        ),
        "",
        f"**{check.verdict}.**",
    ]
    return "\n".join(lines)


def _rates(value: Any, low: float, high: float) -> str:
    return f"{format_error_rate(value)} ({100 * low:.1f}–{100 * high:.1f})"
