"""Choose the events that get their own line on the terminal, and write that line."""

from typing import Any

from rich.markup import escape

from mms_dist.monitor.formatting import percent
from mms_dist.monitor.history import LanguageHistory

REASONS = {"steps": "all steps", "early_stop": "early stop", "target": "target reached"}
MOST_DAMAGED_SAMPLES = 5  # printed one by one; the event log has all of them
LANGUAGES_NAMED = 5
CHARACTERS_SHOWN = 30


class EventLines:
    """Turns events into lines in rich markup. Frequent and routine events get no line."""

    def __init__(self) -> None:
        self._damaged_samples = 0

    def line(self, event: dict[str, Any], language: LanguageHistory | None) -> str | None:
        """Return the line for `event`, or None. `language` is the state of the event's language after the event."""
        kind, reason = event["kind"], _escape(event.get("reason", ""))
        code = f"[bold]{_escape(event.get('language', ''))}[/bold]"
        match kind:
            case "finished":
                return f"[green]finished[/green] {code}: {REASONS.get(reason, reason)}{_result(event, language)}"
            case "quarantined":
                return f"[bold red]quarantined[/bold red] {code}: {reason}{_result(event, language)}; others continue"
            case "reopened":
                return f"[cyan]reopened[/cyan] {code}: {event['step']:,} of {event['steps']:,} configured steps done"
            case "data_changed":
                return f"[yellow]data changed[/yellow] {code}: batches differ from the checkpoint's; new epoch started"
            case "draws_changed":
                return f"[yellow]random draws changed[/yellow]: {_escape(_draws(event))}"
            case "head_mapped":
                return f"[cyan]head mapped[/cyan] {code}: {_rows(event)}"
            case "checkpoint_damaged":
                return f"[yellow]damaged checkpoint[/yellow] {_escape(event.get('path', ''))}: {reason}"
            case "features_not_spilled":
                return f"[yellow]front-end features[/yellow] {reason}"
            case "memory_not_pinned":
                return f"[yellow]page-locked memory[/yellow] {reason}"
            case "preempted":
                return "[yellow]stopped[/yellow]: every language is saved; run the same command to resume"
            case "run_incomplete":
                return f"[bold red]incomplete[/bold red]: {reason}"
            case "run_failed":
                return f"[bold red]failed[/bold red]: {reason}"
            case "damaged_sample":
                return self._damaged(event, code, reason)
            case _:
                return None

    def _damaged(self, event: dict[str, Any], code: str, reason: str) -> str | None:
        self._damaged_samples += 1
        if self._damaged_samples > MOST_DAMAGED_SAMPLES:
            return None
        last = self._damaged_samples == MOST_DAMAGED_SAMPLES
        more = "; more damaged samples are counted but not printed" if last else ""
        place = f" (row {event['row']})" if "row" in event else ""
        place += f" in {_escape(event['shard'])}" if event.get("shard") else ""
        return (
            f"[yellow]damaged sample[/yellow] {code} {_escape(event.get('key', ''))}{place} left out: {reason}; "
            f"run `mms-dist shards verify` to find other damage{more}"
        )


def _rows(event: dict[str, Any]) -> str:
    new = event["new"]
    shown = f" ({_escape(new[:CHARACTERS_SHOWN])}{' …' if len(new) > CHARACTERS_SHOWN else ''})" if new else ""
    return (
        f"{event['taken']:,} rows taken by character from another vocabulary, {len(new):,} new{shown}, "
        f"{event['unused']:,} of its rows unused"
    )


def _draws(event: dict[str, Any]) -> str:
    after = [f"{code} from step {step + 1:,}" for code, step in event["after_step"].items()]
    more = f" and {len(after) - LANGUAGES_NAMED:,} more" if len(after) > LANGUAGES_NAMED else ""
    return (
        f"{', '.join(event['what'])}: {', '.join(after[:LANGUAGES_NAMED])}{more} (all in events.jsonl); an earlier "
        "version started this run and identified utterances by their keys, which two tars may share; utterances are "
        "now identified by their position in the shards"
    )


def _result(event: dict[str, Any], language: LanguageHistory | None) -> str:
    text = f" at step {event['step']:,}" if "step" in event else ""
    if language is not None and language.best is not None:
        before = f"{percent(language.initial.cer)} → " if language.initial else ""
        text += f", CER {before}{percent(language.best.cer)} %"
    return text


def _escape(text: Any) -> str:
    return escape(str(text))
