"""Where the time goes, as a short text."""

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile


def profile_text(work: Callable[[], object], *, rows: int = 12) -> str:
    """The operations that take the most time of their own in one call of `work`, with their shares."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        work()
    events = sorted(recorded.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    lines = [f"{'operation':<44}{'calls':>7}{'ms':>10}{'share':>8}"]
    for event in events[:rows]:
        milliseconds = event.self_cpu_time_total / 1e3
        lines.append(
            f"{event.key[:43]:<44}{event.count:>7}{milliseconds:>10.1f}{event.self_cpu_time_total / total:>8.1%}"
        )
    return "\n".join(lines)
