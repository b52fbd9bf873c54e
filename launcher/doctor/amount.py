"""Format a number of bytes."""


def amount(count: float) -> str:
    """Return `5.8 MiB`, `1.4 GiB`, `320 GiB` or `nothing`."""
    if count == 0:
        return "nothing"
    gib = count / 2**30
    if gib < 1:
        return f"{count / 2**20:,.1f} MiB"
    return f"{gib:,.1f} GiB" if gib < 100 else f"{gib:,.0f} GiB"
