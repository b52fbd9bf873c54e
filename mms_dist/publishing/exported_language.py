"""A language of an export, as the result, the model card and mms-dist-export.json give it."""

from dataclasses import dataclass


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


def format_error_rate(fraction: float | None) -> str:
    """`12.3 %`, or a dash."""
    return "–" if fraction is None else f"{100 * fraction:.1f} %"
