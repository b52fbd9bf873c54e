"""Learning curves of several runs in one chart."""

from mms_dist.monitor.formatting import percent
from mms_dist.report.chart import Axis, Chart, ChartLine, Label, linear_axis, path_of, spread
from mms_dist.report.comparison import Comparison
from mms_dist.report.run_charts import GRID, LABEL_GAP, TOP, curve_of, value_at

NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def mean_curves(comparison: Comparison) -> Chart | None:
    """Mean dev CER of the common languages over their steps, a curve for each run; None if there are none."""
    curves = []
    for run in range(len(comparison.runs)):
        reports = [each.reports[run] for each in comparison.common]
        own = [curve_of(report.history) for report in reports if report is not None]
        curves.append([curve for curve in own if len(curve) > 1])
    fewest = min((len(own) for own in curves), default=0)
    if not fewest or any(len(own) != len(comparison.common) for own in curves):
        return None
    end = max(curve[-1][0] for own in curves for curve in own)
    means = []
    for own in curves:
        own_end = max(curve[-1][0] for curve in own)
        steps = [own_end * number / GRID for number in range(GRID + 1)]
        means.append([(step, sum(value_at(curve, step) for curve in own) / len(own)) for step in steps])
    x_axis, steps = linear_axis(end)
    x_axis = Axis(0, end)
    y_axis, rates = linear_axis(min(TOP, max(cer for curve in means for _, cer in curve)))
    places = [[(x_axis.place(step), y_axis.place(cer)) for step, cer in curve] for curve in means]
    heights = spread([curve[-1][1] for curve in places], LABEL_GAP)
    colours = [f"c{number % 10}" for number in range(len(places))]
    return Chart(
        description="Mean dev CER at the end of each run: "
        + ", ".join(f"{NAMES[number]} {percent(curve[-1][1])} %" for number, curve in enumerate(means)),
        x_title="optimizer steps of a language",
        y_title="mean dev CER %",
        x_ticks=x_axis.ticks([(step, f"{step:,.0f}") for step in steps]),
        y_ticks=y_axis.ticks([(rate, f"{100 * rate:g}") for rate in rates]),
        lines=[ChartLine(path_of(curve), f"curve {colour}") for curve, colour in zip(places, colours, strict=True)],
        labels=[
            Label(height, f"{NAMES[number]} {percent(means[number][-1][1])}", colours[number], "")
            for number, height in enumerate(heights)
        ],
    )
