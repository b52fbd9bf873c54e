"""Find where foreign samples keep their transcripts, and check the language that they name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from shards.errors import SourceError
from shards.foreign.survey_tar import FoundSample, TarSurvey
from shards.languages import may_be_same_language
from shards.wording import counted

TEXT_FIELDS = ("text", "sentence", "transcript", "transcription", "normalized_text", "raw_text")
# In order of preference; None is the .txt member.
ANY_FIELD: tuple[str | None, ...] = (*TEXT_FIELDS, None)
TXT_MEMBER = ".txt"


def fields_to_look_for(text_field: str | None) -> tuple[str | None, ...]:
    """Return the fields that may hold the transcript, given --text-field or None."""
    if text_field is None:
        return ANY_FIELD
    return (None,) if text_field == TXT_MEMBER else (text_field,)


def choose_fields(language: str, tars: Sequence[TarSurvey], wanted: Sequence[str | None]) -> list[str | None]:
    """Return the field that at least half of the samples have, then those that the other samples need.

    Raises:
        SourceError: no sample has any of the fields; names what they have.
    """
    samples = [sample for tar in tars for sample in tar.found]
    counts = Counter(name for sample in samples for name in sample.transcripts)
    if not counts:
        if len(wanted) == 1 or not samples:
            return [wanted[0]]  # every sample will be counted as incomplete
        raise _no_transcript(language, tars)
    having = sum(1 for sample in samples if sample.transcripts)
    common = [name for name in wanted if 2 * counts[name] >= having]
    first = common[0] if common else max(wanted, key=lambda name: counts[name])
    needed = {
        next(name for name in wanted if name in sample.transcripts)
        for sample in samples
        if sample.transcripts and first not in sample.transcripts
    }
    return [first, *(name for name in wanted if name in needed)]


def fields_note(language: str, tars: Sequence[TarSurvey], fields: Sequence[str | None]) -> str | None:
    """Return a note if the transcripts are in several fields."""
    if len(fields) < 2:
        return None
    taken = Counter(_taken(sample, fields) for tar in tars for sample in tar.found if sample.transcripts)
    places = ", ".join(f"{_shown(name)} ({taken[name]:,})" for name in fields)
    return f"{language}: transcripts come from the first field a sample has of {places}; choose one with --text-field"


def samples_of_other_languages(
    language: str, tars: Sequence[TarSurvey]
) -> tuple[dict[int, dict[int, str]], str | None]:
    """Find samples that name another language: tar number to sample number to a message.

    If no sample names `language`, the folder may use another code for the same language. Then no sample is reported,
    and a note is returned instead.
    """
    others: dict[int, dict[int, str]] = defaultdict(dict)
    names: Counter[str] = Counter()
    agreeing = 0
    for number, tar in enumerate(tars):
        for place, sample in enumerate(tar.found):
            if sample.language is None:
                continue
            contradicts = not may_be_same_language(sample.language, language)
            agreeing += not contradicts
            if contradicts:
                names[sample.language] += 1
                others[number][place] = f"it says its language is {sample.language!r}, expected {language!r}"
    if not others or agreeing:
        return others, None
    found = ", ".join(f"{name!r} ({count:,})" for name, count in names.most_common(5))
    return {}, f"{language}: the samples name their language {found}, never {language!r}; check that it is the same"


def _taken(sample: FoundSample, fields: Sequence[str | None]) -> str | None:
    return next((name for name in fields if name in sample.transcripts), fields[0])


def _shown(name: str | None) -> str:
    return TXT_MEMBER if name is None else repr(name)


def _no_transcript(language: str, tars: Sequence[TarSurvey]) -> SourceError:
    """Return the error for samples without transcripts, with the most common kind of sample as example."""
    kinds = Counter(_kind(sample) for tar in tars for sample in tar.found)
    (kind, count), *_ = kinds.most_common(1)
    where = next(f"{tar.name}:{sample.span.key}" for tar in tars for sample in tar.found if _kind(sample) == kind)
    members, fields = kind
    return SourceError(
        f"no transcript in any of {counted(sum(kinds.values()), 'sample')} of {language}, for example {where} "
        f"({count:,} are like it): its members are {', '.join(members)}, its JSON has {', '.join(fields) or 'nothing'}",
        fix=f"name the field with --text-field, or write the transcripts into <key>{TXT_MEMBER}",
    )


def _kind(sample: FoundSample) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return sample.span.extensions, sample.json_fields
