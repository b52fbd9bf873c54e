"""Plans in a terminal: one line for each cluster, and for a single cluster its phases and its memory too."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mms_dist.config import Config
from mms_dist.monitor.cells import duration, percent
from mms_dist.planning.hours import TOKENS, UTTERANCE_SECONDS
from mms_dist.planning.plan import PhaseLine, Plan
from mms_dist.planning.reads import FLAC_BYTES_PER_SECOND
from mms_dist.training.memory import Memory
from mms_dist.training.summaries import LanguageSummary

STAGES = 8
"""Lines that the phases of a run are gathered into."""


def show(config: Config, summaries: Sequence[LanguageSummary], plans: Sequence[Plan], console: Console) -> None:
    """Print all plans of a configuration."""
    hours = sum(entry.seconds for entry in summaries) / 3600
    steps = _span(entry.steps for entry in summaries)
    seconds = _span(round(entry.work.seconds) for entry in summaries)
    _print(
        console,
        f"{len(summaries):,} languages, {hours:,.1f} h{_range(summaries)}; {steps} steps each, of {seconds} s of audio",
        f"{escape(config.model.base)} in {plans[0].dtype}, passes of up to {plans[0].forward_seconds:g} s; "
        f"{plans[0].slots} slots a process, placement: {config.rounds.placement}",
    )
    console.print(_clusters(plans))
    if len(plans) == 1:
        console.print(_stages(plans[0]))
        _print(console, *_detail(plans[0]))
    console.print()
    for note in _notes(plans[0]):
        console.print(f"[dim]· {note}[/]", highlight=False, soft_wrap=True)


def _clusters(plans: Sequence[Plan]) -> Table:
    knows = plans[0].makespan_seconds is not None
    table = _table(
        "nodes × processes",
        ">rounds",
        ">time" if knows else ">audio h\na process",
        ">of the\nleast",
        ">skew %",
        ">real\nskew %",
        ">padding\n%",
        ">shared\nat most",
        ">sent GiB\na process",
        ">memory\nGiB",
        ">read GiB\na node",
    )
    for plan in plans:
        cluster, sample, traffic = plan.cluster, plan.sample, plan.traffic
        sent = (traffic.flags + traffic.gradients + traffic.moves) / cluster.world
        memory = _gib(plan.memory.total)
        table.add_row(
            f"{cluster.nodes:,} × {cluster.gpus}",
            f"{plan.rounds:,}",
            duration(plan.makespan_seconds) if knows else f"{plan.audio_seconds / 3600:,.1f}",
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


def _stages(plan: Plan) -> Table:
    """The phases of a run, gathered into a few lines of about as many rounds."""
    table = _table(
        "rounds",
        ">active",
        ">waiting",
        ">languages\na process",
        ">shared",
        ">by up\nto",
        ">audio s\na round",
        ">skew %",
    )
    for lines in _gathered(plan.phases, plan.rounds):
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


def _gathered(lines: Iterable[PhaseLine], rounds: int) -> list[list[PhaseLine]]:
    stages: dict[int, list[PhaseLine]] = {}
    for line in lines:
        stages.setdefault((line.first_round - 1) * STAGES // rounds, []).append(line)
    return list(stages.values())


def _detail(plan: Plan) -> list[str]:
    memory, traffic, cluster = plan.memory, plan.traffic, plan.cluster
    fits = ""
    if plan.fits is not None:
        fits = f": fits in {cluster.memory_gib:g}" if plan.fits else f": [red]more than {cluster.memory_gib:g}[/]"
    lines = [
        f"memory    {_gib(memory.total)} GiB a process{fits}; base {_gib(memory.base)}, rows with gradients "
        f"and moments {_gib(memory.rows)}, gathered for a pass about {_gib(memory.gathered)}, activations about "
        f"{_gib(memory.activations)}{_of_the_device(memory)}",
        f"traffic   of all processes: gradients of shared languages {_gib(traffic.gradients)} GiB, languages moved "
        f"{_gib(traffic.moves)} GiB, events {_gib(traffic.flags)} GiB",
        f"reading   {_gib(plan.reads.node_bytes)} GiB by the node with the most, of shards of "
        f"{_gib(plan.reads.node_distinct_bytes)} GiB",
    ]
    if plan.makespan_seconds is not None:
        lines.append(f"waiting   {duration(plan.exchange_seconds)} of the time, for gradients and moved languages")
    if plan.fits is False:
        lines.append("          lower rounds.forward_seconds or rounds.slots, or set model.activation_checkpointing")
    return lines


def _of_the_device(memory: Memory) -> str:
    """What CUDA and NCCL take for themselves; nothing on a CPU."""
    parts = {"CUDA's context": memory.context, "NCCL": memory.communication}
    return "".join(f", {name} about {_gib(size)}" for name, size in parts.items() if size)


def _notes(plan: Plan) -> list[str]:
    cluster, sample = plan.cluster, plan.sample
    notes = [
        "Least: all work spread evenly, or the longest language split as far as its batches can be. Skew: the busiest "
        "process above the mean, over all rounds.",
        "Every language takes all of its steps; those that stop early make a run shorter. Evaluation, saving and the "
        f"start are not counted. Exchange at {cluster.bandwidth_gbit:g} Gbit/s a process; activations are an estimate.",
    ]
    if sample is None:
        notes.append(
            "A table tells nothing of lengths: padding and the skew of real batches are not known. Where it does not "
            f"say, utterances are of {UTTERANCE_SECONDS:g} s, vocabularies of {TOKENS} tokens, and shards of "
            f"{FLAC_BYTES_PER_SECOND / 1000:g} kB a second."
        )
    else:
        notes.append(
            f"Real skew and padding: of {sample.rounds} rounds on {sample.ranks} processes, with the batches they will "
            "have."
        )
    if plan.on_gpu and plan.dtype == "float32":
        notes.append(
            "model.dtype is float32 on a GPU: twice the memory of bfloat16, and a fraction of its speed; model.dtype "
            "auto takes bfloat16 where the card has it."
        )
    if cluster.speed is None:
        notes.append("Give --speed, or --measure it here, for times on the clock.")
    else:
        notes.append(f"Speed: {cluster.speed:,.4g} s of audio a second and process.")
    return notes


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    """Columns by heading; `>` aligns to the right."""
    table = Table(box=None, padding=(0, 1), pad_edge=True, header_style="dim", title=" ")
    for place, column in enumerate(columns):
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=right or place == 0)
    return table


def _range(summaries: Sequence[LanguageSummary]) -> str:
    """The languages with the least and the most audio: a number that was misread shows here."""
    if len(summaries) == 1:
        return f" of {summaries[0].language}"
    ordered = sorted(summaries, key=lambda entry: (entry.seconds, entry.language))
    least, most = (f"{entry.seconds / 3600:,.4g} h of {entry.language}" for entry in (ordered[0], ordered[-1]))
    return f", from {least} to {most}"


def _span(values: Iterable[int]) -> str:
    known = sorted(values)
    return f"{known[0]:,}" if known[0] == known[-1] else f"{known[0]:,}–{known[-1]:,}"


def _gib(count: float) -> str:
    """Bytes in GiB, with as many digits as say something."""
    gib = count / 2**30
    if 0 < gib < 0.01:
        return "<0.01"
    return f"{gib:,.0f}" if gib >= 100 else f"{gib:.1f}" if gib >= 1 else f"{gib:.2g}"
