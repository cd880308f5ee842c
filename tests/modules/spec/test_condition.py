import json
from pathlib import Path

import pytest

from tests.modules.spec.shop import LIVE, load, refusal


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "live.features.visits_1d.filter={}",
            "--set: live.features.visits_1d.filter: read {}; accepted: a list.",
        ),
        (
            "live.features.visits_1d.filter=[{column: bot}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "bot"}; accepted: either one_of, or bounds out '
            "of at_least, above, at_most and below.",
        ),
        (
            "live.features.visits_1d.filter=[{column: bot, one_of: [true], above: 1}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "bot", "one_of": [true], "above": 1}; '
            "accepted: either one_of, or bounds out of at_least, above, at_most and below.",
        ),
        (
            "live.features.visits_1d.filter=[{column: bot, one_of: []}]",
            "--set: live.features.visits_1d.filter.0.one_of: read []; accepted: at least one entry.",
        ),
        (
            "live.features.visits_1d.filter=[{column: click, above: 1}]",
            '--set: live.features.visits_1d.filter.0.column: read "click"; accepted: a column of type int, float, '
            "string or bool: visit, shopper, page, seconds, clicks, bot.",
        ),
        (
            "live.features.visits_1d.filter=[{colum: clicks, above: 1}]",
            "--set: live.features.visits_1d.filter.0: the field column is missing; accepted: column: VALUE.\n--set: "
            "live.features.visits_1d.filter.0.colum: unknown field; accepted: column, one_of, at_least, above, "
            "at_most, below.",
        ),
        (
            "live.features.visits_1d.filter=[{column: seen, above: 1}]",  # an instant: in which unit?
            '--set: live.features.visits_1d.filter.0.column: read "seen"; accepted: a column of type int, float, '
            "string or bool: visit, shopper, page, seconds, clicks, bot.",
        ),
        (
            "live.features.visits_1d.filter=[{column: seen, one_of: [1]}]",
            '--set: live.features.visits_1d.filter.0.column: read "seen"; accepted: a column of type int, float, '
            "string or bool: visit, shopper, page, seconds, clicks, bot.",
        ),
        (
            "live.features.visits_1d.filter=[{column: seconds, one_of: [1]}]",  # equal floats are rare
            "--set: live.features.visits_1d.filter.0.one_of: read [1]; accepted: bounds instead, because seconds is "
            "of type float.",
        ),
        (
            "live.features.visits_1d.filter=[{column: bot, above: 1}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "bot", "above": 1}; accepted: one_of and no '
            "bounds, because bot is of type bool.",
        ),
        (
            "live.features.visits_1d.filter=[{column: page, at_most: 1}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "page", "at_most": 1}; accepted: one_of and no '
            "bounds, because page is of type string.",
        ),
        (
            "live.features.visits_1d.filter=[{column: bot, one_of: [1]}]",
            "--set: live.features.visits_1d.filter.0.one_of.0: read 1; accepted: a value of the type of bot, bool.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, one_of: [2, true]}]",  # Python's True is an int
            "--set: live.features.visits_1d.filter.0.one_of.1: read true; accepted: a value of the type of clicks, "
            "int.",
        ),
        (
            "live.features.visits_1d.filter=[{column: page, one_of: [7]}]",
            "--set: live.features.visits_1d.filter.0.one_of.0: read 7; accepted: a value of the type of page, string.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, one_of: [1.5]}]",
            "--set: live.features.visits_1d.filter.0.one_of.0: read 1.5; accepted: text (put quotes around it) or a "
            "valid integer or a valid boolean.",
        ),
        (
            "live.features.visits_1d.filter=[{column: page, one_of: [null]}]",
            "--set: live.features.visits_1d.filter.0.one_of.0: read null; accepted: text (put quotes around it) or a "
            "valid integer or a valid boolean.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, one_of: [9223372036854775808]}]",  # leaves int64
            "--set: live.features.visits_1d.filter.0.one_of.0: read 9223372036854775808; accepted: a value of the "
            "type of clicks, int.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, above: .inf}]",
            '--set: live.features.visits_1d.filter.0.above: read ".inf"; accepted: a valid number.',
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, above: 9007199254740993}]",  # no float is this number
            "--set: live.features.visits_1d.filter.0.above: read 9007199254740993; accepted: a number between -2^53 "
            "and 2^53, because clicks is of type int.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, at_least: 2, above: 1}]",
            "--set: live.features.visits_1d.filter.0.at_least: read 2; accepted: nothing beside above.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, at_most: 2, below: 1}]",
            "--set: live.features.visits_1d.filter.0.at_most: read 2; accepted: nothing beside below.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, at_least: 2, at_most: 1}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "clicks", "at_least": 2, "at_most": 1}; '
            "accepted: bounds that some number meets.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, at_least: 2, below: 2}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "clicks", "at_least": 2, "below": 2}; '
            "accepted: bounds that some number meets.",
        ),
        (
            "live.features.visits_1d.filter=[{column: clicks, above: 2, at_most: 2}]",
            '--set: live.features.visits_1d.filter.0: read {"column": "clicks", "above": 2, "at_most": 2}; accepted: '
            "bounds that some number meets.",
        ),
        (
            "live.features.clicks_by_second_1d.over={filter: [{column: page, above: 2}]}",  # of a divisor too
            '--set: live.features.clicks_by_second_1d.over.filter.0: read {"column": "page", "above": 2}; accepted: '
            "one_of and no bounds, because page is of type string.",
        ),
    ],
)
def test_what_a_condition_refuses(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, override, text=LIVE) == message


@pytest.mark.parametrize(
    "condition",
    [
        {"column": "clicks", "one_of": [-(2**63), 2**63 - 1]},
        {"column": "page", "one_of": ["", "yes", "1"]},
        {"column": "clicks", "at_least": 2, "at_most": 2},  # that number alone
        {"column": "seconds", "above": -1.5, "below": 0},
        {"column": "clicks", "above": 2.5},  # between two whole numbers
    ],
)
def test_what_a_condition_accepts(tmp_path: Path, condition: dict[str, object]) -> None:
    features = load(tmp_path, f"live.features.visits_1d.filter=[{json.dumps(condition)}]", text=LIVE).live_features
    (found,) = features["visits_1d"].filter
    said = found.model_dump(exclude_none=True, mode="json")
    assert said == condition
