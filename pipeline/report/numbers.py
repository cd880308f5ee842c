"""Numbers as people read them: few digits, thousands apart, a true minus, a space before a unit."""

import datetime
import math

_NO_BREAK = "\u00a0"


def number(value: float) -> str:
    """At most four significant digits, and all digits of the whole part; `1,063`, `2.523`, `0.00012`."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else _sign("inf" if value > 0 else "-inf")
    size = abs(value)
    if size >= 1e15:
        return _sign(f"{value:.3g}")
    if value == int(value) or size >= 1000:
        return _sign(f"{value:,.0f}")
    if size < 1e-5:
        return _sign(f"{value:.2g}")
    decimals = max(0, 3 - math.floor(math.log10(size)))
    return _sign(f"{value:,.{decimals}f}".rstrip("0").rstrip("."))


def metric(value: float) -> str:
    """Four decimals; a metric that has no value is undefined, and a log loss may be infinite."""
    return _sign(f"{value:.4f}") if math.isfinite(value) else number(value)


def change(value: float) -> str:
    """A difference of metrics, with its sign; 0 is neither more nor less."""
    if math.isnan(value):
        return "undefined"
    text = f"{value:+.4f}"
    return "0" if float(text) == 0 else _sign(text)


def percent(share: float) -> str:
    """A share of 1 in percent, one decimal below 10 %; what is not nothing is never shown as 0."""
    if not math.isfinite(share):
        return "undefined"
    if 0 < share < 0.001:
        return f"<{_NO_BREAK}0.1{_NO_BREAK}%"
    if 0.999 < share < 1:
        return f">{_NO_BREAK}99.9{_NO_BREAK}%"
    value = share * 100
    text = f"{value:.1f}".removesuffix(".0") if value < 10 or value > 99 else f"{value:.0f}"
    return f"{text}{_NO_BREAK}%"


def duration(seconds: float) -> str:
    """`0.1 s`, `46 s`, `2 min 3 s`, `1 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f}{_NO_BREAK}s" if seconds >= 0.05 else f"<{_NO_BREAK}0.1{_NO_BREAK}s"
    whole = round(seconds)
    parts = (whole, "s") if whole < 60 else (whole // 60, "min", whole % 60, "s")
    if whole >= 3600:
        parts = (whole // 3600, "h", whole % 3600 // 60, "min")
    return _NO_BREAK.join(str(part) for part in parts)


def instant(micros: float, span: float = math.inf) -> str:
    """Microseconds since 1970-01-01T00:00:00Z as a date, as exact as an axis of `span` microseconds needs."""
    days = span / 86_400e6
    form = (
        "%b %Y" if 700 < days < math.inf else "%-d %b %Y" if days > 3 else "%-d %b %H:%M" if days > 0.1 else "%H:%M:%S"
    )
    try:
        moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=micros)
    except (OverflowError, ValueError):
        return "undefined"
    return moment.strftime(form)


def started(run_id: str) -> str:
    """A run's id, which is its start, in words; as it is if it is something else."""
    try:
        moment = datetime.datetime.strptime(run_id, "%Y-%m-%dT%H-%M-%S.%fZ")
    except ValueError:
        return run_id
    return moment.strftime("%-d %B %Y, %H:%M UTC")


def _sign(text: str) -> str:
    return text.replace("-", "\u2212")
