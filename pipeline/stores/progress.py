"""Registers and floors as named numbers, for stores that keep texts: a number is written so that it sorts as a text."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

from pipeline.stores.store import Register


def of_registers(registers: Sequence[Register]) -> list[tuple[str, str]]:
    """Names and numbers, a register's position before its watermark, so that with a watermark there is a position."""
    return [
        (f"{kind}/{_escaped(register.source)}/{_escaped(register.partition)}", number(value))
        for register in registers
        for kind, value in (("position", register.position), ("watermark", register.watermark))
    ]


def of_floor(source: str, slot: int) -> tuple[str, str]:
    """Name and number."""
    return f"floor/{_escaped(source)}", number(slot)


def registers(progress: Mapping[str, str]) -> list[Register]:
    """The registers among named numbers, by source and partition."""
    found = []
    for name, watermark in progress.items():
        kind, _, place = name.partition("/")
        if kind == "watermark":
            source, _, partition = place.partition("/")
            position = integer(progress[f"position/{place}"])
            found.append(Register(unquote(source), unquote(partition), integer(watermark), position))
    return sorted(found, key=lambda register: (register.source, register.partition))


def floors(progress: Mapping[str, str]) -> dict[str, int]:
    """The floors among named numbers, by source."""
    return {
        unquote(name.removeprefix("floor/")): integer(slot)
        for name, slot in progress.items()
        if name.startswith("floor/")
    }


def number(value: int) -> str:
    """A 64-bit integer as a text that sorts like it."""
    return f"{value + 2**63:020d}"


def integer(text: str) -> int:
    """What `number` was given."""
    return int(text) - 2**63


def _escaped(name: str) -> str:
    return quote(name, safe="")
