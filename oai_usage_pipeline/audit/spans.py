"""Spans of time and numbers of things as people read them at a glance; nothing else."""

UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """In the largest unit of which it has two or more, seconds at least: 90 s, 12 min, 3 h, 6 days."""
    size, unit = next((each for each in UNITS if seconds >= 2 * each[0]), UNITS[-1])
    return f"{seconds / size:.0f} {unit}"


def counted(count: int, thing: str) -> str:
    """So many of a thing: 1 day, 2,000 days."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
