import json

from modules.spec import Declaration
from pipeline.report.columns import columns
from tests.artifacts import taxi
from tests.pipeline.report.small_run import statistics


def _declared(features: dict[str, dict[str, object]]) -> Declaration:
    fields = {
        "dataset": "columns",
        "data": "",
        "columns": {
            "at": {"type": "timestamp", "unit": "us", "role": "time"},
            **{name: {"role": "feature", **feature} for name, feature in features.items()},
            "label": {"type": "bool", "role": "label"},
        },
        "label": {"name": "label", "column": "label"},
        "split": {"by": "time", "validation": 0.1, "eval": 0.2},
        "evaluation": {"thresholds": {"auc": {"at_least": 0.1}}},
    }
    return Declaration.model_validate_json(json.dumps(fields))


HOUR: dict[str, object] = {"type": "int", "transform": {"name": "one_hot", "depth": 24}}
FLAG: dict[str, object] = {"type": "bool", "transform": {"name": "passthrough"}}
OTHERS: dict[str, list[object]] = {"label": [0, 1], "row_id": [b"a", b"b"]}


def test_a_card_a_column_in_the_order_of_the_declaration() -> None:
    train = statistics({"at": [1_000_000, 2_000_000], "flag": [1, 1], "hour": [3, None], **OTHERS})
    evaluated = statistics({"at": [90_000_000_000_000, 90_000_000_000_000], "flag": [0, 1], "hour": [3, 5], **OTHERS})
    found = columns([train, train, evaluated], _declared({"hour": HOUR, "flag": FLAG}))
    hour, flag, at, label = found.cards
    assert [card.name for card in found.cards] == ["hour", "flag", "at", "label"]  # and no row_id
    assert hour.about == "int \u00b7 one hot, depth 24"
    assert {fact.name: fact.values for fact in hour.facts} == {
        "missing": ("50\u00a0%", "0\u00a0%"),
        "mean": ("3", "4"),
        "std dev": ("0", "1"),
        "min": ("3", "3"),
        "median": ("3", "5"),
        "max": ("3", "5"),
    }
    assert [(each.text, [bar.text for bar in each.bars]) for each in flag.categories] == [
        ("true", ["100\u00a0%", "50\u00a0%"]),
        ("false", ["0\u00a0%", "50\u00a0%"]),
    ]
    assert flag.shift == 0.5
    assert at.shift is None  # the time splits them, so it has to
    assert at.facts[1].values == ("1 Jan 1970", "7 Nov 1972")
    assert label.about == "label, 0 or 1"


def test_a_live_feature_says_what_it_is_computed_from() -> None:
    name = "area_tip_share_30d"
    values: dict[str, list[object]] = {name: [0.1, 0.2], "big_tip": [0, 1], "row_id": [b"a", b"b"]}
    split = statistics(values)
    card, _ = columns([split, split, split], taxi()).cards
    assert card.name == name
    assert card.about == (
        "float \u00b7 live: ratio of tips to fare, from payments at least 1d old, by pickup_community_area, over 30d "
        "\u00b7 bucketise, buckets 10"
    )
    counted = columns([split, split, statistics(values | {"company_trips_7d": [1, 2]})], taxi()).cards[0]
    assert counted.about.startswith("int \u00b7 live: count, from trips at least 15m old, by company, over 7d \u00b7")


def test_of_very_many_columns_those_that_shift_the_most() -> None:
    names = [f"flag_{index:03}" for index in range(130)]
    both: dict[str, list[object]] = {name: [1, 0] for name in names}
    ones: dict[str, list[object]] = {name: [1, 1] for name in names[125:]}
    at: dict[str, list[object]] = {"at": [1, 2], **OTHERS}
    train, evaluated = statistics(both | at), statistics(both | ones | at)
    found = columns([train, train, evaluated], _declared(dict.fromkeys(names, FLAG)))
    assert (len(found.cards), found.left_out) == (60, 72)  # of 130 flags, the time and the label
    assert {card.name for card in found.cards} >= set(names[125:])
