"""Print plans: one line per cluster; for a single cluster also its phases, memory, traffic and reads."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.hardware.memory_estimate import Memory
from mms_dist.monitor.formatting import duration, percent
from mms_dist.monitor.terminal_tables import plain_table
from mms_dist.planning.cluster_plan import ClusterPlan, PhaseLine
from mms_dist.planning.hours_table import TOKENS, UTTERANCE_SECONDS
from mms_dist.planning.traffic import FLAC_BYTES_PER_SECOND

STAGES = 8
"""Number of lines that the phases of a run are summarised in."""


def show_plans(
    plans: Sequence[ClusterPlan], summaries: Sequence[LanguageSummary], console: Console, *, base: str, placement: str
) -> None:
    """Print all plans of a configuration.

    Args:
        base: name of the base, `model.base`.
        placement: `rounds.placement`.
    """
    hours = sum(entry.seconds for entry in summaries) / 3600
    steps = _span(entry.steps for entry in summaries)
    seconds = _span(round(entry.work.seconds) for entry in summaries)
    _print(
        console,
        f"{len(summaries):,} languages, {hours:,.1f} h{_range(summaries)}; {steps} steps each, {seconds} s of audio "
        "per step",
        f"{escape(base)} in {plans[0].dtype}, passes of up to {plans[0].forward_seconds:g} s; "
        f"{plans[0].slots} slots per process, placement: {placement}",
    )
    console.print(_clusters(plans))
    if len(plans) == 1:
        console.print(_stages(plans[0]))
        _print(console, *_detail(plans[0]))
    console.print()
    for note in _notes(plans[0]):
        console.print(f"[dim]· {note}[/]", highlight=False, soft_wrap=True)


def _clusters(plans: Sequence[ClusterPlan]) -> Table:
    has_times = plans[0].makespan_seconds is not None
    table = plain_table(
        "nodes × processes",
        ">rounds",
        ">time" if has_times else ">audio h\nper process",
        ">× lower\nbound",
        ">skew %",
        ">real\nskew %",
        ">padding\n%",
        ">most\nshared",
        ">sent GiB\nper process",
        ">memory\nGiB",
        ">read GiB\nper node",
        title=" ",
    )
    for plan in plans:
        cluster, sample, traffic = plan.cluster, plan.sample, plan.traffic
        sent = (traffic.flags + traffic.gradients + traffic.moves) / cluster.world
        memory = _gib(plan.memory.total)
        table.add_row(
            f"{cluster.nodes:,} × {cluster.gpus}",
            f"{plan.rounds:,}",
            duration(plan.makespan_seconds) if has_times else f"{plan.audio_seconds / 3600:,.1f}",
            f"{plan.over_least:.3f}",
            percent(plan.skew),
            percent(sample.skew if sample else None),
            percent(sample.padding_fraction if sample else None),
            f"{max(line.shared for line in plan.phases):,}",
            _gib(sent),
            memory if plan.fits is not False else f"[red]{memory}[/]",
            _gib(plan.reads.node_bytes),
        )
    return table


def _stages(plan: ClusterPlan) -> Table:
    """Summarise the phases of a run in a few lines, each covering about the same number of rounds."""
    table = plain_table(
        "rounds",
        ">active",
        ">waiting",
        ">languages\nper process",
        ">shared",
        ">by up\nto",
        ">audio s\nper round",
        ">skew %",
        title=" ",
    )
    for lines in _grouped(plan.phases, plan.rounds):
        rounds = sum(line.rounds for line in lines)
        table.add_row(
            f"{lines[0].first_round:,} – {lines[-1].first_round + lines[-1].rounds - 1:,}",
            _span(line.active for line in lines),
            _span(line.waiting for line in lines),
            _span(count for line in lines for count in (line.fewest_held, line.most_held)),
            _span(line.shared for line in lines),
            f"{max(line.largest_block for line in lines)}",
            f"{sum(line.rounds * line.highest_load for line in lines) / rounds:,.1f}",
            percent(sum(line.rounds * line.skew for line in lines) / rounds),
        )
    return table


def _grouped(lines: Iterable[PhaseLine], rounds: int) -> list[list[PhaseLine]]:
    stages: dict[int, list[PhaseLine]] = {}
    for line in lines:
        stages.setdefault((line.first_round - 1) * STAGES // rounds, []).append(line)
    return list(stages.values())


def _detail(plan: ClusterPlan) -> list[str]:
    memory, traffic, cluster = plan.memory, plan.traffic, plan.cluster
    fits = ""
    if plan.fits is not None:
        fits = f": fits in {cluster.memory_gib:g}" if plan.fits else f": [red]more than {cluster.memory_gib:g}[/]"
    lines = [
        f"memory    {_gib(memory.total)} GiB per process{fits}; base {_gib(memory.base)}, rows with gradients "
        f"and moments {_gib(memory.rows)}, gathered for a pass about {_gib(memory.gathered)}, activations about "
        f"{_gib(memory.activations)}{_of_the_device(memory)}",
        f"traffic   of all processes: gradients of shared languages {_gib(traffic.gradients)} GiB, languages moved "
        f"{_gib(traffic.moves)} GiB, events {_gib(traffic.flags)} GiB",
        f"reading   {_gib(plan.reads.node_bytes)} GiB by the busiest node, from {_gib(plan.reads.node_distinct_bytes)} "
        "GiB of shards",
    ]
    if plan.makespan_seconds is not None:
        lines.append(f"waiting   {duration(plan.exchange_seconds)} in total, for gradients and moved languages")
    if plan.fits is False:
        lines.append("          lower rounds.forward_seconds or rounds.slots, or set model.activation_checkpointing")
    return lines


def _of_the_device(memory: Memory) -> str:
    """Describe the memory that CUDA and NCCL need; empty on a CPU."""
    parts = {"CUDA's context": memory.context, "NCCL": memory.communication}
    return "".join(f", {name} about {_gib(size)}" for name, size in parts.items() if size)


def _notes(plan: ClusterPlan) -> list[str]:
    cluster, sample = plan.cluster, plan.sample
    notes = [
        "Lower bound: all work spread evenly, or the longest language split as far as its batches allow. Skew: how far "
        "the busiest process is above the mean, over all rounds.",
        "Every language is assumed to take all of its steps; early stopping makes a run shorter. Evaluation, saving "
        f"and startup are not counted. Communication: {cluster.bandwidth_gbit:g} Gbit/s per process. Activations are "
        "an estimate.",
    ]
    if sample is None:
        notes.append(
            "A table has no utterance lengths, so padding and the skew of real batches are unknown. Where the table "
            f"has no value, the plan assumes utterances of {UTTERANCE_SECONDS:g} s, vocabularies of {TOKENS} tokens, "
            f"and shards of {FLAC_BYTES_PER_SECOND / 1000:g} kB per second of audio."
        )
    else:
        notes.append(
            f"Real skew and padding: from {sample.rounds} rounds on {sample.ranks} processes, with the batches of the "
            "run."
        )
    if plan.on_gpu and plan.dtype == "float32":
        notes.append(
            "model.dtype is float32 on a GPU, which takes twice the memory of bfloat16 and is much slower; with auto, "
            "a GPU that supports bfloat16 uses it."
        )
    if cluster.speed is None:
        notes.append("For wall-clock times, pass --speed, or --measure to measure the speed of this machine.")
    else:
        notes.append(f"Speed: {cluster.speed:,.4g} s of audio per second and process.")
    return notes


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _range(summaries: Sequence[LanguageSummary]) -> str:
    """Name the languages with the least and the most audio, where a misread number would show."""
    if len(summaries) == 1:
        return f" of {summaries[0].language}"
    ordered = sorted(summaries, key=lambda entry: (entry.seconds, entry.language))
    least, most = (f"{entry.seconds / 3600:,.4g} h of {entry.language}" for entry in (ordered[0], ordered[-1]))
    return f", from {least} to {most}"


def _span(values: Iterable[int]) -> str:
    known = sorted(values)
    return f"{known[0]:,}" if known[0] == known[-1] else f"{known[0]:,}–{known[-1]:,}"


def _gib(count: float) -> str:
    """Format bytes as GiB, with two significant digits or more."""
    gib = count / 2**30
    if 0 < gib < 0.01:
        return "<0.01"
    return f"{gib:,.0f}" if gib >= 100 else f"{gib:.1f}" if gib >= 1 else f"{gib:.2g}"
