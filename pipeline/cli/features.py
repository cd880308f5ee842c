"""What live features are declared, and what each of them means."""

import difflib
import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modules.spec import Condition, Declaration, Live, LiveFeature, NotFoundError, Taken
from modules.spec import micros as in_micros
from modules.spec import written as as_duration
from modules.spec.instant import written_instant
from pipeline.cli.failures import Failures, ending
from pipeline.cli.options import DEFAULT_FEATURES, AsJson, Debug, Features, Set, instant, load

features_app = typer.Typer(help="Shows the live features.", no_args_is_help=True)


@features_app.command("list")
def list_command(
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Lists the live features."""
    with ending(Failures(debug, as_json)):
        declaration = load(features, overrides)
        if as_json:
            found = [_facts(declaration, name) for name in declaration.live_features]
            typer.echo(json.dumps({"dataset": declaration.dataset, "features": found} | _fingerprints(declaration)))
        elif declaration.live is None:
            typer.echo(_none_declared(features))
        else:
            _print_list(Console(), declaration.live)


@features_app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="The live feature.", metavar="NAME")],
    at: Annotated[
        int | None,
        typer.Option(parser=instant, help="The time of the request in the example, UTC; now.", metavar="TIME"),
    ] = None,
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Says what a live feature means, with its numbers, and what is promised of it."""
    with ending(Failures(debug, as_json)):
        declaration = load(features, overrides)
        live = declared_live(declaration, name, features)
        seen = _example(live, live.features[name], int(time.time()) * 1_000_000 if at is None else at)
        if as_json:
            typer.echo(json.dumps(_facts(declaration, name) | {"example": seen} | _fingerprints(declaration)))
        else:
            _print_page(Console(), declaration, live, name, seen)


def declared_live(declaration: Declaration, name: str, features: Path) -> Live:
    """The live features, among which there is one of this name.

    Raises:
      NotFoundError: There is none.
    """
    live = declaration.live
    if live is None:
        raise NotFoundError(_none_declared(features))
    if name not in live.features:
        near = difflib.get_close_matches(name, live.features, cutoff=0.5)
        listed = f"nearest: {', '.join(near)}" if near else f"declared: {', '.join(live.features)}"
        raise NotFoundError(f"{features}: no live feature {name}; {listed}.")
    return live


def _none_declared(features: Path) -> str:
    return f"{features}: no live features are declared; docs/live_features.md says how."


def _fingerprints(declaration: Declaration) -> dict[str, str]:
    return {"features_fingerprint": declaration.features_fingerprint, "fingerprint": declaration.fingerprint}


def _facts(declaration: Declaration, name: str) -> dict[str, Any]:
    """All that is declared of a feature, its defaults filled in."""
    assert declaration.live
    feature = declaration.live.features[name]
    source = declaration.live.sources[feature.source]
    ticks = feature.ticks(in_micros(declaration.live.tick))
    may_lag = declaration.live.may_lag(name)
    return (
        {"name": name}
        | feature.model_dump(mode="json", exclude={"step", "edge"})
        | {"default": feature.value_when_empty, "dtype": _dtype(feature), "formula": _formula(feature)[0]}
        | {
            "ticks": {"tick": declaration.live.tick}
            | dict(zip(("window", "delay", "step", "edge"), ticks, strict=True))
        }
        | {"time": source.time, "ingest_time": source.ingest_time, "lateness": source.lateness, "ahead": source.ahead}
        | {"stream_may_lag": None if may_lag is None else as_duration(may_lag)}
    )


def _example(live: Live, feature: LiveFeature, at: int) -> dict[str, Any]:
    """What a request at a time sees."""
    tick = in_micros(live.tick)
    slot = at // tick
    start, stop = feature.sees(slot, tick)
    return {
        "at": written_instant(at),
        "slot": slot,
        "from": written_instant(start * tick),
        "to": written_instant(stop * tick),
    }


def _dtype(feature: LiveFeature) -> str:
    return f"{feature.dtype}64"


def _print_list(console: Console, live: Live) -> None:
    """All features, those of one source and key together."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, feature in live.features.items():
        groups.setdefault((feature.source, feature.key), []).append(name)
    titles = ("name", "aggregation", "window", "delay", "dtype", "default")
    rows = {
        name: (name, feature.aggregation, feature.window, feature.delay, _dtype(feature),
               _number(feature.value_when_empty)) for name, feature in live.features.items()
    }  # fmt: skip
    widths = [max(map(len, column)) for column in zip(titles, *rows.values(), strict=True)]

    def say(cells: tuple[str, ...], style: str = "") -> None:
        aligned = (f"{cell:{side}{width}}" for cell, side, width in zip(cells, "<<>><>", widths, strict=True))
        _print_line(console, "  ".join(aligned), style)

    say(titles, "bold")
    for (source, key), names in groups.items():
        _print_line(console, f"{source} by {', '.join(key)}", "bold")
        for name in names:
            say(rows[name])


def _print_line(console: Console, line: str, style: str = "") -> None:
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def _print_page(console: Console, declaration: Declaration, live: Live, name: str, seen: dict[str, Any]) -> None:
    feature = live.features[name]
    source, tick = live.sources[feature.source], in_micros(live.tick)
    window, delay, step, edge = feature.ticks(tick)
    formula, of = _formula(feature)
    page = Table.grid(padding=(0, 2), pad_edge=False)
    page.add_column(no_wrap=True, style="bold")
    page.add_column(overflow="fold")

    def say(title: str, *lines: str) -> None:
        for index, line in enumerate(lines):
            page.add_row("" if index else title, Text(line))

    _print_line(console, name, "bold")
    if feature.description:
        console.print(feature.description, markup=False, highlight=False)
    console.print()
    say("source", f"{feature.source}, timed by {source.time}")
    say("key", ", ".join(feature.key), "A null in it: no event is counted, and a request gets the default.")
    say("value", f"{feature.aggregation} = {formula}", *of)
    lengths = {"length": window, "delay ": delay, "step  ": step, "edge  ": edge}
    say("window", *(f"{title} {as_duration(n * tick):>6} = {_ticks(n)} of {live.tick}" for title, n in lengths.items()))
    say(
        "sees",
        f"events with from <= slot < to, where slot = floor(time / {live.tick}),",
        "for a request in slot s",
        f"  to   = {floored('s', delay, edge)}",
        f"  from = {floored('to', window, step)}",
        f"A request at {seen['at']}, s = {seen['slot']},",
        f"  sees from {seen['from']}, itself included,",
        f"       to   {seen['to']}, itself left out.",
        *(["The request counts as one more event."] if feature.include_request else []),
    )
    ahead = f", or at most {source.ahead} before it" if in_micros(source.ahead) else ", and not before it"
    say("late", f"An event counts if it is ingested at most {source.lateness} after its time{ahead}.")
    if source.ingest_time is None:
        say("", "Recorded events have no ingest time here, so all of them count.")
    say("freshness", _promise(feature, source.lateness, live.may_lag(name)))
    say("default", f"{_number(feature.value_when_empty)} {_where_empty(feature)}")
    say("dtype", f"{_dtype(feature)}, rounded once to what the model takes")
    transform = feature.transform.model_dump()
    say("transform", ", ".join([transform.pop("name"), *(f"{field}: {value}" for field, value in transform.items())]))
    say("features", declaration.features_fingerprint, "the fingerprint of sources, keys and live features")
    say("declaration", declaration.fingerprint, "the fingerprint of all that is declared")
    console.print(page, highlight=False)


def _ticks(count: int) -> str:
    return "1 tick" if count == 1 else f"{count:,} ticks"


def _promise(feature: LiveFeature, lateness: str, may_lag: int | None) -> str:
    """How far the stream may lag so that a feature is the same in training and in serving."""
    if may_lag is None:
        return f"Nothing is promised while the stream lags, because delay is below the source's lateness, {lateness}."
    limit = (
        f"as long as the stream lags by at most {_spoken(may_lag)}" if may_lag else "only while the stream does not lag"
    )
    return f"The same in training and in serving {limit} (delay - lateness = {feature.delay} - {lateness})."


def _spoken(micros: int) -> str:
    """A length of time in all its units."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        count, micros = divmod(micros, in_micros(f"1{unit}"))
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts)


def floored(start: str, back: int, width: int) -> str:
    moved = f"{start} - {back}" if back else start
    return moved if width == 1 else f"floor(({moved}) / {width}) * {width}"


def _formula(feature: LiveFeature) -> tuple[str, list[str]]:
    """How a value is computed, and what its letters stand for."""
    if feature.aggregation == "ratio":
        assert feature.over
        a, b = feature.units, feature.over.units
        formula = "A / B" if a == b else f"(A * {b}) / (B * {a})"
        return formula, [f"A = {_sum(feature)}", f"B = {_sum(feature.over)}"]
    if feature.aggregation == "approx_distinct":
        return "how many different x there are, by HyperLogLog", [_x(feature), "The standard error is 3 %."]
    k = "" if feature.units == 1 else f" / {feature.units}"
    n = f"n = events{_where(feature.filter, feature.value)}"
    total = f"S = {_sum(feature)}"
    return {
        "count": ("n", [n]),
        "sum": (f"S{k}", [total]),
        "mean": (f"S / (n * {feature.units})" if k else "S / n", [total, n]),
        "min": (f"the least x{k}", [_x(feature)]),
        "max": (f"the greatest x{k}", [_x(feature)]),
        "last": (f"the last x{k}", [_x(feature), "Of equal times the greatest x is the last."]),
        "stddev": (f"sqrt((n * Q - S^2) / (n * (n - 1))){k}", [total, "Q = the same of the squares", n]),
    }[feature.aggregation]


def _x(taken: Taken) -> str:
    return f"x = {_amount(taken)} of events{_where(taken.filter)}"


def _sum(taken: Taken) -> str:
    return f"sum of {_amount(taken)} over events{_where(taken.filter)}"


def _amount(taken: Taken) -> str:
    """The number that is taken in of an event."""
    if taken.value is None:
        return "1"
    return taken.value if taken.scale is None else f"rint({taken.value} * {taken.scale})"


def _where(conditions: tuple[Condition, ...], value: str | None = None) -> str:
    """The events that are taken in; those whose value is null never are."""
    said = [f"{value} is not null"] if value else []
    for condition in conditions:
        if condition.one_of is not None:
            said.append(f"{condition.column} is {' or '.join(json.dumps(one) for one in condition.one_of)}")
        for sign, bound in ((">=", condition.at_least), (">", condition.above),
                            ("<=", condition.at_most), ("<", condition.below)):  # fmt: skip
            if bound is not None:
                said.append(f"{condition.column} {sign} {_number(bound)}")
    return f" where {' and '.join(said)}" if said else ""


def _number(value: float) -> str:
    """A number as one would write it, and no digit less."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _where_empty(feature: LiveFeature) -> str:
    """When a feature has its default."""
    return {
        "count": "where no event is counted",
        "approx_distinct": "where no event is counted",
        "stddev": "where fewer than two events have a value",
        "ratio": "where B is 0",
    }.get(feature.aggregation, "where no event has a value")
