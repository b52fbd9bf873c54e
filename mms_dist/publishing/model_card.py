"""Write an export's README.md: a model card as the Hub reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mms_dist.evaluation.metrics import FAIR_CER
from mms_dist.publishing.card_facts import CardFacts, LanguageFacts, Rate
from mms_dist.publishing.exported_language import format_error_rate
from shards.wording import counted

TASK = "automatic-speech-recognition"
# If the base is a Hub name or ships with the project, its model card does not name a licence.
_KNOWN_LICENCES = {
    "facebook/mms-": "cc-by-nc-4.0",
    "facebook/wav2vec2-xls-r-": "apache-2.0",
    "hf-audio/omniasr-": "apache-2.0",
    "tiny-mms": "apache-2.0",
}
_LICENCE_LINE = re.compile(r"^license:\s*[\"']?([\w.-]+)", re.MULTILINE)


def base_licence(base_path: str, base_name: str) -> str | None:
    """The licence in the base's own model card, or known from its name; None if neither says."""
    card = Path(base_path) / "README.md"
    if card.is_file() and (found := _LICENCE_LINE.search(card.read_text(encoding="utf-8", errors="replace"))):
        return found[1].lower()
    return next((licence for start, licence in _KNOWN_LICENCES.items() if base_name.startswith(start)), None)


def model_card(facts: CardFacts, *, usage: str, title: str | None = None, onnx: str | None = None) -> str:
    """Make the text of README.md: metadata for the Hub, then what a reader needs to know.

    Args:
        usage: programs that use the folder, from `mms_dist.usage_programs`.
        title: heading, and the model's name in its results; by default how many languages there are.
        onnx: how the ONNX files compare with torch, if the folder has some.
    """
    title = title or f"MMS adapters for {counted(len(facts.languages), 'language')}"
    splits = [split for split in ("dev", "test") if any(split in each.scores for each in facts.languages)] or ["dev"]
    scored = [(split, score) for each in facts.languages for split, score in each.scores.items() if score.with_model]
    body = _template().render(
        facts=facts,
        title=title,
        usage=usage,
        onnx=onnx,
        splits=splits,
        with_model=max((split for split, _ in scored), default=None),  # test before dev
        has_data=any(each.seconds for each in facts.languages),
        limits=list(_limits(facts)),
    )
    return f"---\n{_metadata(facts, title, onnx=onnx is not None)}\n---\n\n{body}"


def _template() -> Any:
    from jinja2 import ChainableUndefined, Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("mms_dist.publishing"), keep_trailing_newline=True, undefined=ChainableUndefined
    )
    environment.filters |= {"rate": _rate, "hours": _hours}
    return environment.get_template("model_card.md")


def _rate(rate: Any) -> str:
    """`12.3 % (11.0–13.9)`; a dash for a score that there is not."""
    if not isinstance(rate, Rate):
        return format_error_rate(None)
    interval = "" if rate.low is None or rate.high is None else f" ({100 * rate.low:.1f}–{100 * rate.high:.1f})"
    return format_error_rate(rate.value) + interval


def _hours(seconds: Any) -> str:
    """`1.50 h` or `9.5 min`; a dash for what is not known."""
    if not isinstance(seconds, int | float):
        return "–"
    return f"{seconds / 3600:,.2f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _metadata(facts: CardFacts, title: str, *, onnx: bool) -> str:
    """Return the YAML that the Hub indexes; huggingface_hub writes and checks it."""
    from huggingface_hub import ModelCardData

    codes = sorted({each.hub_code for each in facts.languages if each.hub_code})
    scripts = sorted({each.bcp47 for each in facts.languages if each.bcp47})
    results = [result for each in facts.languages for result in _results(each, facts.dataset)]
    on_hub = facts.base_on_hub
    extra: Any = {"language_bcp47": scripts} if scripts else {}
    data = ModelCardData(
        language=codes or None,
        license=facts.licence,
        library_name="onnx" if onnx else "transformers",
        pipeline_tag=TASK,
        base_model=on_hub,
        base_model_relation="adapter" if on_hub else None,
        datasets=[facts.dataset] if facts.dataset.count("/") == 1 else None,
        tags=["mms", "wav2vec2", "adapter", *(["sherpa-onnx"] if onnx else [])],
        metrics=["cer", "wer"],
        model_name=title if results else None,
        eval_results=results or None,
        **extra,
    )
    return str(data.to_yaml(line_break="\n"))


def _results(language: LanguageFacts, dataset: str) -> Iterator[Any]:
    """Yield the CER and WER of a language, in percent, on test if it was scored, else on dev."""
    from huggingface_hub import EvalResult

    for split in ("test", "dev"):
        if (scores := language.scores.get(split)) is None:
            continue
        for metric, rate in (("cer", scores.cer), ("wer", scores.wer)):
            known: dict[str, Any] = {"utterances": scores.utterances} if scores.utterances else {}
            if scores.ignored:
                known["ignored"] = list(scores.ignored)
            if rate.low is not None and rate.high is not None:
                known["confidence_interval_95"] = [_percent(rate.low), _percent(rate.high)]
            yield EvalResult(
                task_type=TASK,
                task_name="Automatic Speech Recognition",
                dataset_type=dataset,
                dataset_name=f"{dataset}, {language.name or language.code}",
                dataset_config=language.code,
                dataset_split=split,
                metric_type=metric,
                metric_name=f"{split.capitalize()} {metric.upper()} (%)",
                metric_value=_percent(rate.value),
                metric_args=known or None,
            )


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(100 * fraction, 2)


def _limits(facts: CardFacts) -> Iterator[str]:
    """Yield what a user must expect, from what is known of each language."""
    yield (
        "Transcripts are in the normalised form of the training text: no capital letters and punctuation unless the "
        "text rules kept them. Characters that the training text lacked cannot be written."
    )
    yield "Speech unlike the training recordings (other microphones, noise, accents, topics) is recognised less well."
    poor = [each.code for each in facts.languages if (cer := measured_cer(each)) is not None and cer > FAIR_CER]
    if poor:
        yield f"**Transcripts are too wrong to use as they are** (CER above {FAIR_CER:.0%}): {_listed(poor)}.".replace(
            "%", " %"
        )
    unknown = [each.code for each in facts.languages if not each.scores]
    if unknown:
        yield f"These weights were not evaluated: {_listed(unknown)}."
    for split in ("dev", "test"):
        leniently = {each.code: each.scores[split].ignored for each in facts.languages if split in each.scores}
        for ignored in sorted({names for names in leniently.values() if names}):
            codes = [code for code, names in leniently.items() if names == ignored]
            yield f"Scores of {split} do not count {' and '.join(ignored)} as errors: {_listed(codes)}."
    single = [each.code for each in facts.languages if each.speakers == 1]
    if single:
        yield f"Trained on a single speaker, so that other voices are recognised much worse: {_listed(single)}."
    local = [each.code for each in facts.languages if each.hub_code is None]
    if local:
        yield f"The Hub has no code for {_listed(local)}, so that its filters do not find them."


def measured_cer(language: LanguageFacts) -> float | None:
    """The CER on test, or on dev if test was not scored; None if neither was."""
    return next((language.scores[split].cer.value for split in ("test", "dev") if split in language.scores), None)


def _listed(codes: list[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)
