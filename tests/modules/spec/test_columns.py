from pathlib import Path

import pytest

from tests.modules.spec.shop import load, refusal


@pytest.mark.parametrize(
    ("column", "accepted"),
    [
        ("{type: float, role: feature}", "a transform, such as {name: scale}, because the role is feature"),
        (
            "{type: float, role: key, transform: {name: scale}}",
            "no transform, because the role is key and only a feature is transformed",
        ),
        (
            "{type: float, role: label, missing: mean}",
            "no missing policy, because the role is label and only a feature has one",
        ),
        (
            "{type: float, role: id, missing: {fill: 0}}",  # an object, not only a word
            "no missing policy, because the role is id and only a feature has one",
        ),
        ("{type: int, role: time}", "type: timestamp for the column with role: time, not int"),
        (
            "{type: int, role: key, unit: s}",
            "no unit, zone or ambiguous, because the type is int and not timestamp",
        ),
        (
            "{type: string, role: key, zone: UTC}",
            "no unit, zone or ambiguous, because the type is string and not timestamp",
        ),
        (
            "{type: timestamp, role: key, ambiguous: latest}",  # it would do nothing
            "a zone with ambiguous, because only local time is ambiguous",
        ),
        (
            "{type: timestamp, unit: s, role: feature, transform: {name: scale}}",
            "a feature of type int, float, string or bool; derive a number from the timestamp first",
        ),
        (
            "{type: string, role: feature, transform: {name: scale}}",
            "vocabulary or hash for a string, not scale",
        ),
        (
            "{type: string, role: feature, transform: {name: one_hot, depth: 3}}",
            "vocabulary or hash for a string, not one_hot",
        ),
        *(
            (
                f"{{type: float, role: feature, transform: {transform}}}",  # equal floats are rare
                f"scale, log, passthrough or bucketise for a float, not {name}",
            )
            for name, transform in [
                ("vocabulary", "{name: vocabulary, top: 5}"),
                ("hash", "{name: hash, buckets: 5}"),
                ("one_hot", "{name: one_hot, depth: 5}"),
            ]
        ),
        (
            "{type: string, role: feature, transform: {name: hash, buckets: 5}, missing: mean}",
            "missing: mean only with scale, log, passthrough or bucketise, not hash",
        ),
        (
            "{type: int, role: feature, transform: {name: log}, missing: own_category}",
            "missing: own_category only with bucketise, vocabulary, hash, identity or one_hot, not log",
        ),
        *(
            (
                f"{{type: {kind}, role: feature, transform: {transform}, missing: {{fill: {fill}}}}}",
                f"a fill of the column's type, {kind}, not {read}",
            )
            for kind, transform, fill, read in [
                ("int", "{name: scale}", "1.5", "1.5"),
                ("int", "{name: scale}", "true", "True"),  # Python's True is an int
                ("float", "{name: scale}", "false", "False"),
                ("float", "{name: scale}", "cheap", "'cheap'"),
                ("float", "{name: scale}", ".inf", "'.inf'"),
                ("string", "{name: hash, buckets: 5}", "5", "5"),
                ("bool", "{name: passthrough}", "1", "1"),
            ]
        ),
        (
            "{type: int, role: feature, transform: {name: scale}, missing: {fill: 9223372036854775808}}",
            "a fill whose size is at most 9223372036854775807, not 9223372036854775808",
        ),
        (
            "{type: float, role: feature, transform: {name: scale}, missing: {fill: -1e39}}",  # float32 has no such
            "a fill whose size is at most 3.4028234663852886e+38, not -1e+39",
        ),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(tmp_path: Path, column: str, accepted: str) -> None:
    message = refusal(tmp_path, f"columns.extra={column}")
    assert message.startswith("--set: columns.extra: read {")
    assert message.endswith(f"; accepted: {accepted}.")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("type", "date", "read \"date\"; accepted: 'int', 'float', 'string', 'bool' or 'timestamp'."),
        ("role", "lable", "read \"lable\"; accepted: 'feature', 'key', 'time', 'label', 'id' or 'ignored'."),
        ("unit", "ns", "read \"ns\"; accepted: 's', 'ms' or 'us'."),
        ("zone", "Mars/Base", 'read "Mars/Base"; accepted: an IANA time zone such as Europe/Paris.'),
        ("zone", "America", 'read "America"; accepted: an IANA time zone such as Europe/Paris.'),  # a directory
        ("zone", "../Paris", 'read "../Paris"; accepted: an IANA time zone such as Europe/Paris.'),
        ("ambiguous", "first", "read \"first\"; accepted: 'earliest' or 'latest'."),
        ("missing", "banana", "read \"banana\"; accepted: 'required', 'mean' or 'own_category' or {fill: VALUE}."),
        (
            "transform",
            "scale",
            'read "scale"; accepted: a mapping with name: one of scale, log, passthrough, ',
        ),
        ("transform", "{name: scal}", 'read {"name": "scal"}; accepted: a mapping with name: one of scale, log, '),
        ("transform", "{depth: 3}", 'read {"depth": 3}; accepted: a mapping with name: one of scale, log, '),
    ],
)
def test_a_field_of_a_column_names_what_it_accepts(tmp_path: Path, field: str, value: str, problem: str) -> None:
    assert refusal(tmp_path, f"columns.at.{field}={value}").startswith(f"--set: columns.at.{field}: {problem}")


@pytest.mark.parametrize(
    ("transform", "field", "problem"),
    [
        ("{name: one_hot, depth: 1}", "depth", "read 1; accepted: greater than or equal to 2."),
        ("{name: one_hot, depth: 10001}", "depth", "read 10001; accepted: less than or equal to 10000."),
        ("{name: bucketise, buckets: 1}", "buckets", "read 1; accepted: greater than or equal to 2."),
        ("{name: bucketise, buckets: 10001}", "buckets", "read 10001; accepted: less than or equal to 10000."),
        ("{name: vocabulary, top: 0}", "top", "read 0; accepted: greater than or equal to 1."),
        ("{name: vocabulary, top: 1, oov_buckets: 0}", "oov_buckets", "read 0; accepted: greater than or equal to 1."),
        ("{name: hash, buckets: 1}", "buckets", "read 1; accepted: greater than or equal to 2."),
        ("{name: hash, buckets: 2.5}", "buckets", "read 2.5; accepted: a valid integer."),
        ("{name: hash, buckets: '5'}", "buckets", 'read "5"; accepted: a valid integer.'),
        ("{name: scale, depth: 5}", "depth", "unknown field; accepted: name."),
    ],
)
def test_transforms_have_bounds(tmp_path: Path, transform: str, field: str, problem: str) -> None:
    message = refusal(tmp_path, f"columns.count.transform={transform}")
    assert message == f"--set: columns.count.transform.{field}: {problem}"


def test_a_transform_without_its_parameter_names_it(tmp_path: Path) -> None:
    message = refusal(tmp_path, "columns.count.transform={name: one_hot}")
    assert message == "--set: columns.count.transform: the field depth is missing; accepted: depth: VALUE."


@pytest.mark.parametrize(
    ("column", "categories", "width", "optional"),
    [
        ("{type: float, role: feature, transform: {name: log}}", None, 1, False),
        ("{type: float, role: feature, transform: {name: log}, missing: mean}", None, 1, True),
        ("{type: float, role: feature, transform: {name: bucketise, buckets: 5}}", 5, 1, False),
        ("{type: float, role: feature, transform: {name: bucketise, buckets: 5}, missing: own_category}", 6, 1, True),
        ("{type: int, role: feature, transform: {name: vocabulary, top: 7, oov_buckets: 2}}", 9, 1, False),
        ("{type: int, role: feature, transform: {name: vocabulary, top: 7}, missing: own_category}", 9, 1, True),
        ("{type: string, role: feature, transform: {name: hash, buckets: 5}, missing: {fill: ''}}", 5, 1, True),
        ("{type: bool, role: feature, transform: {name: one_hot, depth: 2}}", None, 2, False),
        ("{type: bool, role: feature, transform: {name: one_hot, depth: 2}, missing: own_category}", None, 3, True),
        ("{type: int, role: ignored}", None, 1, False),
    ],
)
def test_categories_and_width(tmp_path: Path, column: str, categories: int | None, width: int, optional: bool) -> None:
    made = load(tmp_path, f"columns.extra={column}").columns["extra"]
    assert (made.categories, made.width, made.optional) == (categories, width, optional)
