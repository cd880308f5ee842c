"""How finely the edges of windows move: widths in ticks, of which each divides the next."""

LADDER = (1, 10, 60, 600, 3_600, 86_400)


def at_or_above(ticks: float) -> int:
    """The first width at or above a number of ticks; the last one for more.

    >>> at_or_above(86.4), at_or_above(10), at_or_above(1e9)
    (600, 10, 86400)
    """
    return next((width for width in LADDER if width >= ticks), LADDER[-1])
