"""Bodies of requests: what is wrong with one is said by row and field, and what is right is what training reads."""

import json
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from modules.spec import Declaration
from pipeline.gateway.refusal import MOST_PROBLEMS, Refusal
from pipeline.gateway.rows import MOST_ROWS, RowParser, parse_key
from pipeline.ingest.conform import conform
from tests.pipeline.gateway.shop import END, row, without

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def parser(declaration: Declaration) -> RowParser:
    return RowParser(declaration)


def body(*rows: Any) -> bytes:
    return json.dumps({"requests": rows}).encode()


def refused(parser: RowParser, given: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parser.parse(given)
    return caught.value


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (row(amount="12.34"), "amount", 'read "12.34"; accepted: a finite number that float32 holds.'),
        (row(amount=None), "amount", "read null; accepted: a finite number that float32 holds."),
        (row(amount=True), "amount", "read true; accepted: a finite number that float32 holds."),
        (row(amount=float("nan")), "amount", "read NaN; accepted: a finite number that float32 holds."),
        (row(amount=float("-inf")), "amount", "read -Infinity; accepted: a finite number that float32 holds."),
        (row(amount=3.5e38), "amount", "read 3.5e+38; accepted: a finite number that float32 holds."),
        (row(amount=10**400), "amount", "accepted: a finite number that float32 holds."),
        (row(amount=[1]), "amount", "read an array; accepted: a finite number that float32 holds."),
        (without("amount"), "amount", "missing; accepted: a finite number that float32 holds."),
        (row(seconds=2**63), "seconds", "read 9223372036854775808; accepted: a whole number below 2^63, or null."),
        (row(seconds=-(2**63) - 1), "seconds", "read -9223372036854775809; accepted: a whole number below 2^63"),
        (row(seconds=1.5), "seconds", "read 1.5; accepted: a whole number below 2^63, or null."),
        (row(seconds=1e300), "seconds", "read 1e+300; accepted: a whole number below 2^63, or null."),
        (row(seconds=False), "seconds", "read false; accepted: a whole number below 2^63, or null."),
        (row(company=7), "company", "read 7; accepted: UTF-8 text, or null."),
        (row(company="\ud800"), "company", 'read "\\ud800"; accepted: UTF-8 text, or null.'),
        (row(company={"a": 1}), "company", "read an object; accepted: UTF-8 text, or null."),
        (row(shared=1), "shared", "read 1; accepted: true or false."),
        (row(shared="true"), "shared", 'read "true"; accepted: true or false.'),
        (without("rider"), "rider", "missing; accepted: a whole number below 2^63, or null."),
        (row(at="yesterday"), "at", 'read "yesterday"; accepted: a whole number of us since 1970-01-01T00:00:00Z, or'),
        (row(at=0.5), "at", "read 0.5; accepted: a whole number of us since"),
        (row(tips=1.0), "tips", "a live feature is not accepted in a request: it is looked up. Leave it out."),
        (row(good=1), "good", "unknown field; accepted: rider, area, amount, seconds, company, shared, at."),
        (row(f0=1), "f0", "unknown field; accepted: rider,"),
        (row() | {"x" * 100: 1}, "x" * 57 + "...", "unknown field; accepted: rider,"),
        (row() | {"\ud800": 1}, None, "a field's name is not UTF-8 text; accepted: the names of columns."),
        (7, None, "read 7; accepted: an object with the columns."),
    ],
)
def test_a_bad_row_is_told_by_row_and_field(parser: RowParser, bad: Any, field: str | None, message: str) -> None:
    refusal = refused(parser, body(row(), bad))
    assert refusal.status == 422
    [problem] = refusal.problems
    assert (problem.row, problem.field) == (1, field)
    assert message in problem.message


@pytest.mark.parametrize(
    ("given", "status", "field", "message"),
    [
        (b"", 400, None, "not JSON at character 0"),
        (b'{"requests": [', 400, None, "not JSON at character 14"),
        (b"{'requests': []}", 400, None, "not JSON at character 1"),
        (b'{"requests": []} {}', 400, None, "not JSON at character 17"),
        (b"\xff", 400, None, "not UTF-8 text at byte 0"),
        (b'\xef\xbb\xbf{"requests": []}', 400, None, "not JSON at character 0"),
        (b"[" * 100_000, 400, None, "nested too deeply"),
        (b"9" * 5_000, 400, None, "thousands of digits"),
        (b"[]", 422, None, 'accepted: {"requests": [{'),
        (b"null", 422, None, 'accepted: {"requests": [{'),
        (b"{}", 422, "requests", "missing; accepted: an array of 1 to 1,000 objects."),
        (b'{"requests": []}', 422, "requests", "read an array; accepted: an array of 1 to 1,000 objects."),
        (b'{"requests": {}}', 422, "requests", "read an object; accepted: an array of 1 to 1,000 objects."),
        (b'{"requests": 1, "requests": 2}', 422, "requests", "is given twice. Keep one."),
        (b'{"rows": 1, "requests": [{}]}', 422, "rows", "unknown field; accepted: only requests."),
    ],
)
def test_a_bad_body(parser: RowParser, given: bytes, status: int, field: str | None, message: str) -> None:
    refusal = refused(parser, given)
    assert refusal.status == status
    told = [(problem.row, problem.field, problem.message) for problem in refusal.problems] or [
        (None, None, refusal.message)
    ]
    assert any(where is None and name == field and message in text for where, name, text in told), told


def test_a_field_that_is_given_twice(parser: RowParser) -> None:
    text = body(row(), row()).replace(b'"rider": 0', b'"rider": 0, "rider": 1', 2)
    refusal = refused(parser, text)
    assert [(each.row, each.field, each.message) for each in refusal.problems] == [
        (0, "rider", "is given twice. Keep one."),
        (1, "rider", "is given twice. Keep one."),
    ]


def test_so_many_rows_and_no_more(parser: RowParser) -> None:
    assert len(parser.parse(body(*[row()] * MOST_ROWS))) == MOST_ROWS
    refusal = refused(parser, body(*[row()] * (MOST_ROWS + 1)))
    assert (refusal.status, refusal.message) == (
        413,
        "1,001 requests in one body; accepted: at most 1,000. Send several.",
    )


def test_so_many_problems_are_listed(parser: RowParser) -> None:
    refusal = refused(parser, body(*[{}] * 999))
    assert len(refusal.problems) == MOST_PROBLEMS
    assert f"3,996 problems. The first {MOST_PROBLEMS} are listed." in refusal.message


def test_left_out_is_null(parser: RowParser) -> None:
    sent = parser.parse(body(row(seconds=None, company=None, at=None), row(rider=None, area=None), row(seconds=5.0)))
    assert sent.columns["seconds"].to_pylist() == [None, None, 5]
    assert sent.columns["company"].to_pylist() == [None, None, None]
    assert sent.columns["rider"].to_pylist() == [0, None, 0]
    assert list(sent.times) == [None, END, END]


@given(st.data())
def test_any_document_is_read_or_refused(declaration: Declaration, data: st.DataObject) -> None:
    parser = RowParser(declaration)
    names = st.sampled_from([*row(), "seconds", "company", "tips"])
    some = st.lists(st.dictionaries(names, ANYTHING, max_size=8).map(lambda changes: row() | changes), max_size=3)
    document: Any = data.draw(some.map(lambda rows: {"requests": rows}) | ANYTHING)
    try:
        rows = parser.parse(json.dumps(document).encode())
    except Refusal as raised:
        refusal = raised
    else:
        assert len(rows) == len(document["requests"])
        return
    assert refusal.status == 422
    assert refusal.problems
    json.dumps([problem.message + (problem.field or "") for problem in refusal.problems]).encode()


@given(st.binary())
def test_any_bytes_are_read_or_refused(declaration: Declaration, given: bytes) -> None:
    assert refused(RowParser(declaration), given).status in (400, 422)


@given(
    st.sampled_from(["amount", "seconds", "company"]),
    st.floats() | st.integers(-(2**64), 2**64) | st.text(max_size=5),
)
def test_what_is_accepted_is_what_training_reads(declaration: Declaration, name: str, value: float | str) -> None:
    """Training reads text as numbers too, as a CSV file has it."""
    column = declaration.columns[name]
    if isinstance(value, str) != (column.type == "string"):
        return
    try:
        (read,) = RowParser(declaration).parse(body(row(**{name: value}))).columns[name].to_pylist()
    except Refusal:
        read = None
    as_written = pa.array([str(value)] if isinstance(value, int) else [value])  # Arrow has no ints so large
    trained = conform(as_written, column, name)[0][0].as_py()
    assert repr(read) == repr(trained)


@pytest.mark.parametrize(
    ("names", "texts", "key"),
    [
        (("rider",), ["7"], {"rider": 7}),
        (("rider",), ["-9223372036854775808"], {"rider": -(2**63)}),
        (("area",), [""], {"area": ""}),
        (("rider", "area"), ["7", "a/b,c"], {"rider": 7, "area": "a/b,c"}),
        (("shared",), ["true"], {"shared": True}),
    ],
)
def test_keys(declaration: Declaration, names: tuple[str, ...], texts: list[str], key: dict[str, Any]) -> None:
    assert parse_key(texts, names, declaration) == key


@pytest.mark.parametrize(
    ("names", "texts", "message"),
    [
        (("rider",), ["x"], 'read "x"; accepted: a whole number below 2^63.'),
        (("rider",), ["9223372036854775808"], "accepted: a whole number below 2^63."),
        (("rider",), ["9" * 5000], "accepted: a whole number below 2^63."),
        (("rider",), ["1_0"], "accepted: a whole number below 2^63."),
        (("rider",), ["--1"], "accepted: a whole number below 2^63."),
        (("rider",), ["٣"], "accepted: a whole number below 2^63."),
        (("shared",), ["1"], 'read "1"; accepted: true or false.'),
        (("rider", "area"), ["7"], "read 1 values; accepted: 2, of rider, area, with commas between."),
    ],
)
def test_keys_that_are_none(declaration: Declaration, names: tuple[str, ...], texts: list[str], message: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_key(texts, names, declaration)
    assert message in caught.value.problems[0].message
