"""`twinbeam explain`: why a live feature of one key has its value at one time."""

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modules.spec import LiveFeature, written
from modules.spec.instant import written_instant
from pipeline.cli.failures import Failures, ending
from pipeline.cli.features import declared_live, floored
from pipeline.cli.options import DEFAULT_FEATURES, AsJson, Debug, Events, Features, Set, by_source, instant, load

if TYPE_CHECKING:
    from modules.kernel.explain import Held
    from pipeline.jobs.explain import Event, Explained

_SHOWN = 10
"""How many events that are in, and cells, are printed: the newest; `--json` has all."""


def explain_command(
    feature: Annotated[str, typer.Argument(help="The live feature.", metavar="FEATURE")],
    key: Annotated[
        list[str], typer.Argument(help="column=value of the key; several with commas, or each.", metavar="KEY")
    ],
    time: Annotated[int, typer.Argument(parser=instant, help="Of the request: 2016-06-01T12:30:00Z.", metavar="TIME")],
    features: Features = DEFAULT_FEATURES,
    overrides: Set = [],  # noqa: B006 (typer reads it)
    events: Events = [],  # noqa: B006
    store: Annotated[
        str, typer.Option(help="An online store, to show what its row holds beside it.", metavar="URL")
    ] = "",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Says why a live feature has its value: its window, the events in and out of it, and what they add up to."""
    with ending(Failures(debug, as_json)):
        declaration = load(features, overrides)
        live = declared_live(declaration, feature, features)
        paths = by_source(declaration, events, "--events")
        from pipeline.jobs.explain import explain
        from pipeline.jobs.named_value import read_request
        from pipeline.live.history import event_files

        request = read_request(declaration, feature, key)
        found = explain(declaration, feature, request, time, event_files(declaration, paths), store or None)
        if as_json:
            typer.echo(json.dumps(_facts(found)))
        else:
            _print(found, live.features[feature])


def _facts(found: "Explained") -> dict[str, Any]:
    """Everything that was found, with nothing in it but what JSON has."""
    window = found.feature.window
    return {
        "feature": found.feature.name,
        "key": found.key,
        "time": written_instant(found.time),
        "value": _number(found.value),
        "bits": found.bits,
        "empty": found.empty,
        "example": _number(found.example),
        "example_bits": found.example_bits,
        "window": {
            "slot": found.slot,
            "from": written_instant(found.start * found.tick),
            "to": written_instant(found.stop * found.tick),
            "from_slot": found.start,
            "to_slot": found.stop,
            "tick": written(found.tick),
            **dataclasses.asdict(window),
        },
        "source": found.source,
        "events": {"read": found.read, "of_key": found.of_key, "counts": found.counts},
        "in": [_event(event) for event in found.events],
        "out": {reason: [_event(event) for event in events] for reason, events in found.out.items()},
        "held": _held(found, found.held),
        "online": found.online and {
            "value": _number(found.online.value),
            "bits": found.online.bits,
            "status": found.online.status,
            "complete": found.online.complete,
            "watermark": written_instant(found.online.watermark),
            "held": _held(found, found.online.held),
        },
    }  # fmt: skip


def _event(event: "Event") -> dict[str, Any]:
    time = None if event.time is None else written_instant(event.time)
    columns = {name: _number(value) if isinstance(value, float) else value for name, value in event.columns.items()}
    return {"time": time, "path": event.path, "row": event.row, "taken": list(event.taken), "columns": columns}


def _held(found: "Explained", held: "Held") -> dict[str, Any]:
    return {
        "cells": [
            {"from": written_instant(start * found.tick), "slot": start, "width": width, "count": count}
            for start, width, count in _cells(held)
        ],
        "sums": [{"scale": taking.scale, **sums} for taking, sums in zip(_takings(found), held.sums, strict=True)],
    }


def _takings(found: "Explained") -> tuple[Any, ...]:
    from modules.kernel.explain import takings

    return takings(found.feature)


def _cells(held: "Held") -> Iterable[tuple[int, int, int | None]]:
    counts = [None] * len(held.starts) if held.counts is None else held.counts.tolist()
    return zip(held.starts.tolist(), held.widths.tolist(), counts, strict=True)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


def _print(found: "Explained", declared: LiveFeature) -> None:
    from pipeline.jobs.explain import REASONS
    from pipeline.sources.source import EARLIEST

    window, tick = found.feature.window, found.tick
    key = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in found.key.items())
    typer.echo(f"{found.feature.name} of {key} at {written_instant(found.time)}")
    _say("value", f"{found.value!r} ({found.bits})" + (", the default: of nothing" if found.empty else ""))
    _say("", f"{found.example!r} ({found.example_bits}), rounded once to what the model takes")
    _say("window", f"{declared.aggregation} over {declared.window} with a delay of {declared.delay}")
    _say("", f"from {written_instant(found.start * tick)}, itself included: slot {found.start}")
    _say("", f"to   {written_instant(found.stop * tick)}, itself left out: slot {found.stop}")
    _say("", f"to   = {floored('s', window.delay, window.edge)}, where s = {found.slot} is the request's slot of "
             f"{written(tick)}")  # fmt: skip
    _say("", f"from = {floored('to', window.length, window.step)}")
    _say("events", f"{found.read:,} of {found.source}, {found.of_key:,} of this key, {found.counts['in']:,} of them in")
    only = found.files[0] if len(found.files) == 1 else None
    _say("", *found.files)
    if found.includes_request:
        _say("", "the request counts as one more event")
    left = len(found.events) - _SHOWN
    _say("in", *([f"{left:,} older, and"] if left > 0 else []), *(_line(e, only) for e in found.events[-_SHOWN:]))
    for reason in REASONS:
        if events := found.out.get(reason):
            nearest = "" if found.counts[reason] == len(events) else "; the nearest:"
            _say("out", f"{reason}, {REASONS[reason]}: {found.counts[reason]:,}{nearest}")
            _say("", *(_line(event, only) for event in events))
    _say_held("adds up to", found, found.held)
    if row := found.online:
        _say("store", f"{row.value!r} ({row.bits}): " + ("the same" if row.bits == found.bits else "ANOTHER VALUE"))
        _say("", f"{row.status}; " + ("complete" if row.complete else "not complete: events may still be missing"))
        known = f"what {found.source} was given before {written_instant(row.watermark)} is merged"
        _say("", known if row.watermark > EARLIEST else f"it knows nothing of {found.source}")
        _say_held("its row", found, row.held)


def _say(title: str, *lines: str) -> None:
    for index, line in enumerate(lines):
        typer.echo(f"{'' if index else title:<10}  {line}")


def _say_held(title: str, found: "Explained", held: "Held") -> None:
    for side, taking, sums in zip(("", "over "), _takings(found), held.sums, strict=False):
        units = "" if taking.scale == 1 else f", in units of 1/{taking.scale}"
        _say("" if side else title, side + ", ".join(f"{name} {value}" for name, value in sums.items()) + units)
    cells = list(_cells(held))
    few = ", the newest:" if len(cells) > _SHOWN else ":" if cells else ""
    values = "" if held.events is None else f", {held.events:,} values"
    _say("", f"cells {len(cells):,}{values}{few}")
    for start, width, count in cells[-_SHOWN:]:
        wide = "" if width == 1 else f", {width:,} ticks wide"
        _say("", f"  {written_instant(start * found.tick)}{wide}" + ("" if count is None else f": {count:,}"))


def _line(event: "Event", only: str | None) -> str:
    time = "without a time" if event.time is None else written_instant(event.time)
    taken = f"  takes in {' over '.join(map(str, event.taken))}" if event.taken else ""
    columns = "".join(f", {name}={value}" for name, value in event.columns.items())
    return f"  {time}{taken}  {'' if event.path == only else event.path + ', '}row {event.row}{columns}"
