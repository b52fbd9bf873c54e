"""The programs that use an export, for its README and the report. Tests run them in processes that have no mms-dist."""

from __future__ import annotations

_TRANSFORMERS = """\
import soundfile
import torch
from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

folder, language = "{folder}", "{language}"
processor = Wav2Vec2Processor.from_pretrained(folder, target_lang=language)
model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang=language, ignore_mismatched_sizes=True).eval()

audio, rate = soundfile.read("clip.wav", dtype="float32")  # 16 kHz, one channel
inputs = processor(audio, sampling_rate=rate, return_tensors="pt")
with torch.inference_mode():
    ids = model(**inputs).logits.argmax(-1)[0]
print(processor.decode(ids))"""

_ANOTHER_LANGUAGE = """\


Another language, without loading the base again:

```python
processor.tokenizer.set_target_lang("{other}")
model.load_adapter("{other}")
```"""

_ADAPTERS = """\
This folder has adapters and their vocabularies alone. `base` is the model that they were trained on, as a folder or by
its name on the Hub:

```python
import json
from pathlib import Path

import soundfile
import torch
{imports}from safetensors.torch import load_file
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

folder, base, language = Path({folder}), "{base}", "{language}"
vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))[language]
tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), target_lang=language)
model = Wav2Vec2ForCTC.from_pretrained(
    base,
    adapter_attn_dim={dim},
    vocab_size=len(vocabulary),
    pad_token_id=tokenizer.pad_token_id,
    ignore_mismatched_sizes=True,
)
adapter = load_file(folder / f"adapter.{{language}}.safetensors")
assert not model.load_state_dict(adapter, strict=False).unexpected_keys
model.eval()

audio, rate = soundfile.read("clip.wav", dtype="float32")  # 16 kHz, one channel
extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
inputs = extractor(audio, sampling_rate=rate, return_tensors="pt")
with torch.inference_mode():
    ids = model(**inputs).logits.argmax(-1)[0]
print(tokenizer.decode(ids))
```

transformers says that the adapters and the head are newly initialised when it loads the base; the next lines load
them. Copied next to the base's weights, with `adapter_attn_dim: {dim}` in its `config.json`, the files of this folder
are also found by `Wav2Vec2ForCTC.load_adapter`."""

_SHERPA = """\
With [sherpa-onnx](https://github.com/k2-fsa/sherpa-onnx) (`pip install sherpa-onnx soundfile`), which also has
interfaces for C++, Java, Swift, Go, Android and browsers:

```python
import sherpa_onnx
import soundfile
{imports}
folder = {folder}
recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
    model=f"{{folder}}/{model}", tokens=f"{{folder}}/tokens.txt"
)
audio, rate = soundfile.read("clip.wav", dtype="float32")  # one channel; sherpa-onnx resamples to 16 kHz
stream = recognizer.create_stream()
stream.accept_waveform(rate, audio)
recognizer.decode_stream(stream)
print(stream.result.text)
```

The model is of sherpa-onnx's kind "omnilingual ASR CTC". Input: `x`, float32 [1, samples], the 16 kHz waveform as it
is, because the graph normalises it. Output: `logits`, float32 [1, frames, tokens], 50 frames a second, blank 0. The
most likely path of `logits` is the transcript: the graph gives the probability of special tokens to the blank, and lets
the blank win where spaces are repeated, leading or trailing. Cut long recordings into utterances of up to about 30 s,
with sherpa-onnx's voice activity detector or another: memory grows with the square of the length."""


def transformers_program(folder: str, language: str) -> str:
    """Return the program that transcribes a file with transformers."""
    return _TRANSFORMERS.format(folder=folder, language=language)


def transformers_usage(folder: str, language: str, other: str) -> str:
    """Return that program in Markdown, and how to switch to another language."""
    more = _ANOTHER_LANGUAGE.format(other=other) if other != language else ""
    return f"```python\n{transformers_program(folder, language)}\n```{more}"


def adapters_usage(folder: str, base: str, language: str, dim: int, *, on_hub: bool) -> str:
    """Return the program that transcribes a file with a folder that has adapters alone, in Markdown.

    Args:
        on_hub: whether `folder` is a repository, which the program downloads.
    """
    imports, place = _download(folder) if on_hub else ("", f'"{folder}"')
    return _ADAPTERS.format(imports=imports, folder=place, base=base, language=language, dim=dim)


def sherpa_usage(folder: str, model: str, *, on_hub: bool) -> str:
    """Return the program that transcribes a file with sherpa-onnx, and what other programs must know of the file.

    Args:
        on_hub: whether `folder` is a repository, which the program downloads.
    """
    imports, place = _download(folder) if on_hub else ("", f'"{folder}"')
    return _SHERPA.format(imports=imports, folder=place, model=model)


def _download(repository: str) -> tuple[str, str]:
    """Return the import and the expression for the folder of a repository."""
    return "from huggingface_hub import snapshot_download\n", f'snapshot_download("{repository}")'
