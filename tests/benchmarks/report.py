"""Results as text, as a Markdown table for docs/benchmarks.md, and as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.measure import Measurement


def line(measurement: Measurement) -> str:
    """One line while the benchmarks run."""
    target = "" if measurement.target is None else f"  target {measurement.target}: {measurement.verdict}"
    return (
        f"{measurement.case}\n    {_figure(measurement.ours)} against {_figure(measurement.reference)} "
        f"{measurement.unit}, ratio {measurement.ratio:.3g}{target}"
    )


def markdown(measurements: Sequence[Measurement], conditions: Mapping[str, str]) -> str:
    """Conditions, table, and a profile for each target that was missed."""
    parts = ["; ".join(f"{name}: {value}" for name, value in conditions.items()) + ".", "", *_table(measurements)]
    for benchmark in dict.fromkeys(item.benchmark for item in measurements):
        meanings = dict.fromkeys(item.meaning for item in measurements if item.benchmark == benchmark)
        parts += ["", f"{benchmark}: ratio = {'; or '.join(meanings)}."]
    for item in measurements:
        if item.profile:
            parts += ["", f"Where the time goes in *{item.case}*:", "", "```", item.profile, "```"]
    return "\n".join(parts) + "\n"


def to_json(measurements: Iterable[Measurement], conditions: Mapping[str, str]) -> str:
    document: dict[str, Any] = {
        "conditions": dict(conditions),
        "measurements": [item.to_dict() for item in measurements],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _table(measurements: Iterable[Measurement]) -> list[str]:
    lines = ["| benchmark | case | ours | reference | ratio | target | |", "|---|---|--:|--:|--:|--:|---|"]
    for item in measurements:
        target = "–" if item.target is None else str(item.target)
        lines.append(
            f"| {item.benchmark} | {item.case} | {_figure(item.ours)} {item.unit} | {_figure(item.reference)} "
            f"{item.unit} | {item.ratio:.3g} | {target} | {item.verdict} |"
        )
    return lines


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
