"""Score a split, and show on standard error how far it is."""

from typing import TYPE_CHECKING

from launcher.arguments import MAX_VALUE

if TYPE_CHECKING:
    from mms_dist.evaluation.score_run import LanguageResult, SplitScorer
    from mms_dist.evaluation.scoring_options import ScoringOptions


def score(scorer: "SplitScorer", options: "ScoringOptions") -> "list[LanguageResult]":
    """Score the languages, and show how many utterances are done: those of tuning, of the split, of every condition."""
    from mms_dist.evaluation.search_scoring import BEAM_SEARCH, TUNING_UTTERANCES
    from mms_dist.monitor.console import error_console
    from shards.display.progress import WorkProgress

    tuning: dict[str, int] = {}
    clean: dict[str, int] = {}
    for code in scorer.languages:
        index = scorer.index.language(code)
        clean[code] = min(index.utterances(options.split), options.max_utterances or MAX_VALUE)
        tunes = options.tune and scorer.decoder_of(code) == BEAM_SEARCH
        tuning[code] = min(index.utterances("dev"), TUNING_UTTERANCES) if tunes else 0
    whole = {code: tuning[code] + clean[code] * (1 + len(options.conditions.by_label)) for code in clean}
    results: list[LanguageResult] = []
    with WorkProgress(error_console(), sum(whole.values()), "utterances") as work:
        work.describe("loading the base")
        begun: list[str] = []
        decoded = 0

        def end() -> None:
            """Count what could not be read, or not be scored at all, as done as well."""
            if begun:
                work.advance(whole[begun[-1]] - decoded)

        def show(language: str, utterances: int) -> None:
            nonlocal decoded
            if not utterances:
                end()
                begun.append(language)
                decoded = 0
            decoded += utterances
            work.advance(utterances)
            own = decoded - tuning[language]
            doing = "tuning" if own <= 0 < tuning[language] else "scoring"
            where = " under conditions" if own > clean[language] else ""
            work.describe(f"{doing} {language}{where}, {len(begun) - 1:,} of {len(whole):,} languages done")

        results.extend(scorer.results(show))
        end()
    return results
