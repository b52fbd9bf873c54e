"""Write an export's README.md: its contents, scores, usage and licence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shards.wording import counted

# If the base is a Hub name, its model card is not on this machine.
_KNOWN_LICENCES = {"facebook/mms-": "cc-by-nc-4.0", "facebook/wav2vec2-xls-r-": "apache-2.0"}
_LICENCE_LINE = re.compile(r"^license:\s*[\"']?([\w.-]+)", re.MULTILINE)

_USE = """\
```python
import torch
from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

folder = "{folder}"
processor = Wav2Vec2Processor.from_pretrained(folder, target_lang="{language}")
model = Wav2Vec2ForCTC.from_pretrained(folder, target_lang="{language}", ignore_mismatched_sizes=True).eval()

inputs = processor(audio, sampling_rate=16_000, return_tensors="pt")  # audio: 16 kHz mono, floats
with torch.inference_mode():
    ids = model(**inputs).logits.argmax(-1)[0]
print(processor.decode(ids))

# Another language, without loading the base again:
processor.tokenizer.set_target_lang("{other}")
model.load_adapter("{other}")
```"""

_USE_ADAPTERS = """\
This folder only contains adapters. Put the `adapter.<lang>.safetensors` files and `vocab.json` next to the weights of
`{base}`, with `adapter_attn_dim: {dim}` in its `config.json`; `Wav2Vec2ForCTC.load_adapter` finds them there."""


@dataclass(frozen=True, kw_only=True)
class ExportedLanguage:
    """One language of an export.

    pointer: which checkpoint was exported: `best`, `last`, or `newest` if neither was complete. cer, wer: error rates
    of these weights on the dev split, as fractions; None if they were not evaluated. audio_seconds: audio trained on,
    including repetitions. quarantined: since which step the language is in quarantine, and why; None if it is not.
    """

    language: str
    step: int
    pointer: str
    cer: float | None
    wer: float | None
    audio_seconds: float | None
    vocabulary_size: int
    bytes: int
    quarantined: str | None = None


def base_licence(base_path: str) -> str | None:
    """The licence in the base's own model card, if it is known."""
    card = Path(base_path) / "README.md"
    if card.is_file() and (found := _LICENCE_LINE.search(card.read_text(encoding="utf-8", errors="replace"))):
        return found[1].lower()
    return next((licence for start, licence in _KNOWN_LICENCES.items() if base_path.startswith(start)), None)


def model_card(
    languages: Sequence[ExportedLanguage], *, base: str, licence: str | None, dim: int, adapters_only: bool
) -> str:
    """Make the text of README.md."""
    first, other = languages[0].language, languages[-1].language
    if adapters_only:
        use = _USE_ADAPTERS.format(base=base, dim=dim)
    else:
        use = _USE.format(folder="path/to/this/folder", language=first, other=other)
    codes = "\n".join(f"- {code}" for code in sorted({item.language.split("-")[0] for item in languages}))
    front = f"---\nlibrary_name: transformers\npipeline_tag: automatic-speech-recognition\nlanguage:\n{codes}\n"
    front += f"license: {licence}\n" if licence else ""
    licence_line = (
        f"The base's licence is `{licence}`." if licence else "The base's licence was not found; check its source."
    )
    return "\n".join(
        [
            f"{front}tags:\n- mms\n- wav2vec2\n- adapter\n---\n",
            f"# MMS adapters for {counted(len(languages), 'language')}\n",
            f"One adapter (dimension {dim}) and CTC head for each language, on the frozen base `{base}`.",
            "Trained with mms-dist.\n",
            "| language | CER (dev) | WER (dev) | steps | audio trained on | tokens |",
            "|---|---:|---:|---:|---:|---:|",
            *map(_row, languages),
            "",
            "Greedy decoding, no language model. A dash means that these weights were not evaluated. The name after",
            "the number of steps says which checkpoint this is: the one with the best dev CER, or the last one.\n",
            *(
                f"**{item.language}** is in quarantine {item.quarantined}. This is its last good checkpoint.\n"
                for item in languages
                if item.quarantined
            ),
            f"## Use\n\n{use}\n",
            f"## Licence\n\n{licence_line}",
            "The adapters derive from the base and from their training recordings, whose licences also apply.\n",
        ]
    )


def _row(item: ExportedLanguage) -> str:
    name = f"{item.language} (quarantined)" if item.quarantined else item.language
    hours = "–" if item.audio_seconds is None else f"{item.audio_seconds / 3600:.2f} h"
    rates = f"{format_error_rate(item.cer)} | {format_error_rate(item.wer)}"
    return f"| {name} | {rates} | {item.step:,} ({item.pointer}) | {hours} | {item.vocabulary_size} |"


def format_error_rate(fraction: float | None) -> str:
    """`12.3 %`, or a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"
