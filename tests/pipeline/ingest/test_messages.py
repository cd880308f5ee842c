import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modules.spec import InputError, Typed
from pipeline.ingest.conform import conform
from pipeline.ingest.messages import read_messages, write_messages

COLUMNS = {
    "i": Typed(type="int"),
    "f": Typed(type="float"),
    "s": Typed(type="string"),
    "b": Typed(type="bool"),
    "t": Typed(type="timestamp"),
    "u": Typed(type="timestamp", unit="ms"),
}
BAD = object()


def one(name: str, text: str) -> Any:
    """What a column becomes of a message that is read alone; BAD where it does not fit."""
    return conformed([f'{{"{name}": {text}}}'.encode()])[0][name]


def conformed(payloads: list[bytes]) -> dict[int, dict[str, Any]]:
    """By index, the good messages' values of the declared types, BAD where one does not fit."""
    rows, good, broken = read_messages(payloads, COLUMNS)
    assert sorted([*good.tolist(), *(index for index, _ in broken)]) == list(range(len(payloads)))
    assert rows.schema.names == list(COLUMNS)
    values = {}
    for name, typed in COLUMNS.items():
        column, bad = conform(rows[name], typed, name)
        values[name] = [BAD if wrong else value for value, wrong in zip(column.to_pylist(), bad, strict=True)]
    return {index: {name: values[name][nth] for name in COLUMNS} for nth, index in enumerate(good.tolist())}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("i", "9007199254740993", 2**53 + 1),  # no detour over a float
        ("i", "9223372036854775807", 2**63 - 1),
        ("i", "-9223372036854775808", -(2**63)),
        ("i", "9223372036854775808", BAD),
        ("i", "1.0", 1),
        ("i", "1e3", 1000),
        ("i", "1.5", BAD),
        ("i", '"7"', 7),
        ("i", '"x"', BAD),
        ("i", '""', None),
        ("i", "null", None),
        ("f", "0.1", 0.1),
        ("f", "0.1000000000000000055511151231257827", 0.1),
        ("f", "7.038531e-26", 7.038531e-26),  # rounds wrongly where a reader multiplies by a power of ten
        ("f", "9007199254740993", 2.0**53),
        ("f", "5", 5.0),
        ("f", '"5"', 5.0),
        ("f", "1e400", BAD),
        ("f", '"nan"', BAD),
        ("s", '"é\\u0000\\n"', "é\0\n"),
        ("s", '""', ""),
        ("s", "1.10", "1.10"),  # as written
        ("s", "12345678901234567890123", "12345678901234567890123"),
        ("s", "true", "true"),
        ("s", '"2020-01-01T00:00:00Z"', "2020-01-01T00:00:00Z"),
        ("b", "true", True),
        ("b", "0", False),
        ("b", '"false"', False),
        ("b", "2", BAD),
        ("t", '"2020-01-01T00:00:00+01:00"', 1577833200000000),
        ("t", '"2020-01-01T00:00:00.123456Z"', 1577836800123456),
        ("t", "1577836800", BAD),
        ("u", "1577836800123", 1577836800123000),
        ("u", '"2020-01-01T00:00:00Z"', 1577836800000000),
        ("u", "1.5", BAD),
    ],
)
def test_values(name: str, text: str, value: Any) -> None:
    assert one(name, text) == value or (one(name, text) is value)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"no", "not JSON: Expecting value"),
        (b'{"i": 1', "not JSON: Expecting ',' delimiter"),
        (b'{"i": 1}}', "not JSON: Extra data"),
        (b'{"i": 1}{"i": 2}', "not JSON: Extra data"),
        (b'{"i": 1}\n{"i": 2}', "not JSON: Extra data"),
        (b'{"i": 01}', "not JSON: "),
        (b'{"f": NaN}', "not JSON: the key f holds NaN"),
        (b'{"f": -Infinity}', "not JSON: the key f holds -Infinity"),
        (b'{"s": "a\nb"}', "not JSON: Invalid control character"),
        (b"\xef\xbb\xbf{}", "not JSON: Unexpected UTF-8 BOM"),
        ('{"i": 1}'.encode("utf-16"), "not UTF-8: byte 1 is 0xff"),
        (b'{"s": "\xff"}', "not UTF-8: byte 8 is 0xff"),
        (b'{"other": "\xff"}', "not UTF-8: byte 12 is 0xff"),
        (b"[1]", "JSON, but not an object"),
        (b"1", "JSON, but not an object"),
        (b'[{"i": 1}]', "JSON, but not an object"),
        (b'{"i": 1, "i": 1}', "the key i is there twice"),
        (b'{"i": {"x": 1}}', "the key i holds an object, not one value"),
        (b'{"s": []}', "the key s holds a list, not one value"),
        (b'{"s": "\\ud800"}', "the key s holds half a surrogate pair, which is no character"),
    ],
)
def test_what_is_no_event_is_told_and_its_neighbours_are_read(payload: bytes, reason: str) -> None:
    neighbour = b'{"i": 5, "f": 0.5, "s": "x"}'
    rows, good, [(index, told)] = read_messages([neighbour, payload, neighbour], COLUMNS)
    assert good.tolist() == [0, 2]
    assert index == 1
    assert told.startswith(reason)
    assert conformed([neighbour, payload, neighbour])[2]["i"] == 5
    assert len(rows) == 2
    _, good, broken = read_messages([payload], COLUMNS)
    assert (good.tolist(), len(broken)) == ([], 1)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b' {"i": null}\r\n',
        b'{"other": {"i": [1, {"i": 2}]}}',
        b'{"other": 1, "other": 2}',
        b'{"other": "\\ud800"}',
        b'{"other": NaN}',
        b'{"other": 1e999}',
        b'{"other": {"a": 1, "a": 2}}',
    ],
)
def test_what_is_not_declared_is_ignored(payload: bytes) -> None:
    assert conformed([payload]) == {0: dict.fromkeys(COLUMNS)}


def test_a_message_that_is_left_open_does_not_swallow_the_next() -> None:
    _, good, broken = read_messages([b'{"s": "}', b'{", "i": 1}', b'{"i": 2}'], COLUMNS)
    assert good.tolist() == [2]
    assert [index for index, _ in broken] == [0, 1]
    _, good, broken = read_messages([b'{"other": {"i": 1}', b'{"i": 3}', b'{"i": 2}{}', b""], COLUMNS)
    assert (good.tolist(), len(broken)) == ([1], 3)


@pytest.mark.parametrize("payloads", [[b"{}"], [b'{"i": 1, "s": "x"}', b'{"f": 1}'], [b' {"u": 1,\n"t": "x"}\n'] * 2])
def test_messages_of_the_declared_types_are_read_at_once(payloads: list[bytes]) -> None:
    rows, good, broken = read_messages(payloads, COLUMNS)
    assert rows.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.string(), pa.int64()]
    assert (len(good), broken) == (len(payloads), [])
    rows, _, _ = read_messages([*payloads, b'{"i": "1"}'], COLUMNS)
    assert rows.schema.types == [pa.string()] * 6


def test_no_messages() -> None:
    rows, good, broken = read_messages([], COLUMNS)
    assert (rows.schema.names, len(rows), broken) == (list(COLUMNS), 0, [])
    assert (good.dtype, len(good)) == (np.dtype(np.int64), 0)


def test_deep_nesting_is_no_crash() -> None:
    deep = b'{"other": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert len(conformed([deep, b"{}"])) == 2
    _, _, broken = read_messages([deep, b"no"], COLUMNS)
    assert broken[0] == (0, "not JSON that can be read: nested too deeply")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(allow_nan=True),
    st.text(max_size=3),
    st.sampled_from(["1", "1.5", "true", "x", "", "2020-01-01T00:00:00Z", "2020-13-01"]),
)
OBJECTS = st.dictionaries(
    st.sampled_from([*COLUMNS, "other"]),
    st.one_of(SCALARS, SCALARS, SCALARS, st.lists(SCALARS, max_size=1)),
    max_size=4,
)
TYPICAL = st.fixed_dictionaries(
    {},
    optional={
        "i": st.integers(-(2**63), 2**63 - 1),
        "f": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
        "s": st.text(max_size=3),
        "b": st.booleans(),
        "t": st.just("2020-01-01T00:00:00Z"),
        "u": st.integers(0, 2**45),
        "other": SCALARS,
    },
)
PAYLOADS = st.lists(
    st.one_of((TYPICAL | OBJECTS).map(lambda value: json.dumps(value).encode()), st.binary(max_size=3)), max_size=6
)


@given(PAYLOADS)
@example([b'{"f": -0}', b'{"f": 1.5}'])
@example([b'{"i": 9007199254740993}', b'{"i": 1.5}'])
@example([b'{"i": 1}', b'{"i": true}'])
def test_what_a_message_becomes_does_not_depend_on_its_neighbours(payloads: list[bytes]) -> None:
    together = conformed(payloads)
    for index, payload in enumerate(payloads):
        alone = conformed([payload])
        assert (index in together) == (0 in alone)
        if alone:
            assert repr(together[index]) == repr(alone[0])  # tells 0.0 from -0.0


COLUMN_VALUES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=3, max_size=3).map(
        lambda v: pa.array(v, pa.int64())
    ),
    st.lists(st.floats(allow_nan=False) | st.none(), min_size=3, max_size=3).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.text(), min_size=3, max_size=3).map(lambda v: pa.array(v, pa.string())),
    st.lists(st.booleans(), min_size=3, max_size=3).map(lambda v: pa.array(v, pa.bool_())),
    st.just(pa.array([Decimal("1.10"), None, Decimal("-123456789012345678.25")])),
    st.just(pa.array(["x", None, "y"]).dictionary_encode()),
    st.just(pa.array([0.1, None, 3], pa.float32())),
    st.just(pa.array([dt.date(2020, 2, 29), None, dt.date(1, 1, 1)])),
    st.just(pa.array([0, -1, None], pa.timestamp("us", "America/Chicago"))),
    st.just(pa.array([1_500_000_123, -1, None], pa.timestamp("ns", "UTC"))),
    st.just(pa.nulls(3)),
)


@given(COLUMN_VALUES, COLUMN_VALUES, st.sampled_from(list(COLUMNS)), st.sampled_from(list(COLUMNS)))
def test_rows_can_be_written_as_messages(first: pa.Array, second: pa.Array, name: str, other: str) -> None:
    named = {name: first, other: second}
    rows = pa.RecordBatch.from_arrays(list(named.values()), names=list(named))
    payloads = write_messages(rows)
    again = conformed(payloads)
    assert list(again) == [0, 1, 2]
    for column, values in named.items():
        if pa.types.is_boolean(values.type) and COLUMNS[column].type in ("int", "float"):
            continue  # Parquet's true may be 1, that of JSON may not
        try:
            wanted, bad = conform(values, COLUMNS[column], column)
        except InputError:
            continue  # of a type that the column never has; as text it may fit
        read = [again[index][column] for index in range(3)]
        if not bad.any():
            assert repr(read) == repr(wanted.to_pylist())


def test_messages_as_written() -> None:
    rows = pa.RecordBatch.from_pylist(
        [{"i": 1, "s": 'a"é', "f": 0.5, "t": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, {"i": None, "f": float("nan")}]
    )
    assert [payload.decode() for payload in write_messages(rows)] == [
        '{"i": 1, "s": "a\\"é", "f": 0.5, "t": "2020-01-01 00:00:00.000000Z"}',
        "{}",  # NaN is null
    ]
