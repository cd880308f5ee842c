"""What a prediction says when everything is up: the bits of the batch, and how fresh they are."""

import json
from typing import Any

import pytest

from modules.spec import Declaration
from pipeline.gateway import times
from pipeline.serving.signature import ScoringModel
from tests.pipeline.gateway import expected, shop
from tests.pipeline.gateway.serving import Client
from tests.pipeline.gateway.shop import END, RIDES, row, without
from tests.pipeline.live.rides import SECOND

ROWS = [
    row(),
    row(company="Flash Cab", seconds=60),
    row(company="", seconds=0, shared=False),  # empty and zero are values
    row(company="\u00e9\U0001f600", amount=1e-45, seconds=-(2**63)),
    row(amount=0.1, rider=7, area="area 0"),  # the pair has no row
    row(rider=None),
    row(area=None, rider=999),
    *(row(at=END - 5 * SECOND * n, rider=ride["rider"], area=ride["area"]) for n, ride in enumerate(RIDES[-5:])),
]


def predicted(client: Client, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    status, reply = client.predict(*rows)
    assert status == 200, reply
    assert reply["model"] == {"name": "shop", "version": 1}
    assert len(reply["predictions"]) == len(rows)
    return list(reply["predictions"])


def test_scores_are_those_of_the_history(client: Client, declaration: Declaration, scoring: ScoringModel) -> None:
    found = predicted(client, *ROWS)
    values = expected.live(declaration, ROWS)
    scores = expected.scores(declaration, scoring, ROWS, values)
    assert len(set(scores)) == len(ROWS)
    assert [each["score"] for each in found] == scores
    for name, wanted in values.items():
        assert [each["live"][name]["value"] for each in found] == wanted.tolist(), name


def test_a_row_alone_has_the_answer_that_it_has_among_others(client: Client) -> None:
    together = predicted(client, *ROWS)
    assert [predicted(client, each)[0] for each in ROWS] == together


def test_the_facts_of_a_prediction(client: Client) -> None:
    [found] = predicted(client, row())
    assert found["time"] == times.text(END)
    assert found["live"]["pair"].keys() == {"value", "status", "complete"}
    assert {name for name, each in found["live"].items() if each["status"] != "known"} == {"tips"}
    assert found["live"]["tips"]["status"] == "empty"  # none was 20 minutes ago
    status, ready = client.get("/readyz")
    assert status == 200
    assert found["as_of"] == ready["as_of"]
    assert ready["as_of"]["rides"] == times.text(END)
    assert (found["stale"], found["defaults"]) == (False, False)
    # Without a delay, what was taken in at most a minute late is not there yet.
    assert not found["live"]["rides_5m"]["complete"]
    assert not found["complete"]
    [earlier] = predicted(client, row(at=END - 59 * SECOND, rider=None, area=None))
    assert earlier["complete"]  # nobody's events can change it
    assert {each["status"] for each in earlier["live"].values()} == {"unknown"}
    [nobody] = predicted(client, row(rider=10**6))
    assert nobody["live"]["rides_5m"] == {"value": 0, "status": "unknown", "complete": False}
    assert nobody["live"]["own_sum"]["value"] == 12.34  # the request itself
    [later] = predicted(client, row(at=END + 2 * 3600 * SECOND))
    assert later["live"]["rides_5m"] == {"value": 0, "status": "empty", "complete": False}
    assert later["stale"]


def test_a_time_may_be_given_in_any_form(client: Client) -> None:
    same = [row(at=END), row(at=float(END)), row(at=times.text(END)), row(at=times.text(END).replace("Z", "+00:00"))]
    assert len({json.dumps(each) for each in predicted(client, *same)}) == 1


def test_without_a_time_it_is_now(client: Client) -> None:
    for found in predicted(client, without("at"), row(at=None)):
        assert found["time"] > "2024"
        assert found["stale"]
        assert found["live"]["rides_5m"]["status"] == "empty"


def test_a_time_that_is_too_old_is_told_the_oldest(client: Client) -> None:
    status, reply = client.predict(row(), row(at=END - 3600 * SECOND))
    assert status == 422
    [problem] = reply["error"]["problems"]
    assert (problem["row"], problem["field"]) == (1, "at")
    message, _, oldest = problem["message"].rstrip(".").rpartition(" ")
    assert message.startswith(f"{times.text(END - 3600 * SECOND)} is older than the rows in the store can answer")
    predicted(client, row(at=oldest))
    just_before = shop.micros(oldest) - 1
    assert client.predict(row(at=just_before))[0] == 422


def test_what_the_request_adds_must_be_a_number_that_counts(client: Client) -> None:
    """`own_sum` takes in the request's amount, in cents below 2^53."""
    status, reply = client.predict(row(), row(amount=1e15))
    assert status == 422
    assert reply["error"]["problems"] == [
        {"row": 1, "field": "amount", "message": "read 1000000000000000.0; accepted: less than 2^53 in units of 1/100."}
    ]


@pytest.mark.parametrize(
    ("entity", "key", "names"),
    [
        ("rides/rider", "0", ["rides_5m", "amount_1h", "last_1h", "own_sum"]),
        ("rides/area", "area%200", ["rides_area", "riders"]),
        ("rides/rider,area", "0,area%200", ["pair"]),
        ("payments/area", "area%200", ["tips"]),
    ],
)
def test_a_look_at_a_key(client: Client, entity: str, key: str, names: list[str]) -> None:
    [asked] = predicted(client, row())
    status, found = client.get(f"/v1/features/{entity}/{key}?time={END}")
    assert status == 200, found
    assert list(found["live"]) == names
    kept = [name for name in names if name != "own_sum"]  # which takes in the request
    assert {name: found["live"][name] for name in kept} == {name: asked["live"][name] for name in kept}
    assert found["entity"] == entity
    assert found["key"] == {name: row()[name] for name in entity.partition("/")[2].split(",")}
    assert {name: found[name] for name in ("time", "as_of", "stale")} == {
        name: asked[name] for name in ("time", "as_of", "stale")
    }
    assert client.get(f"/v1/features/{entity}/{key}?time={times.text(END)}") == (200, found)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (
            "rides/nothing/0",
            404,
            "There is no entity 'rides/nothing'; declared are rides/rider, rides/area, payments/area",
        ),
        ("rides/rider/x", 422, 'read "x"; accepted: a whole number below 2^63.'),
        ("rides/rider/0,1", 422, "read 2 values; accepted: 1, of rider"),
        ("rides/area/a/b", 422, "has a slash; percent-encode it in a value: %2F."),
        ("rides/area/%ff", 422, "is not UTF-8 text once it is percent-decoded."),
        ("rides/rider/0?time=x", 422, "accepted: a whole number of us since"),
        ("rides/rider/0?at=1", 422, "the query has other parameters than one time"),
        (f"rides/rider/0?time={END}&time={END}", 422, "the query has other parameters than one time"),
        ("rides/rider/0?time=0", 422, "1970-01-01T00:00:00Z is older than the rows in the store can answer"),
        ("rides/rider", 404, "Not Found. There are /v1/predict, "),
    ],
)
def test_a_look_at_no_key(client: Client, path: str, status: int, message: str) -> None:
    found, reply = client.get(f"/v1/features/{path}")
    assert found == status
    error = reply["error"]
    assert message in " ".join([error["message"], *(problem["message"] for problem in error["problems"])])


def test_a_key_is_what_is_between_the_separators(client: Client) -> None:
    status, found = client.get("/v1/features/rides/rider,area/7,a%2Cb%2Fc%20%C3%A9")
    assert (status, found["key"]) == (200, {"rider": 7, "area": "a,b/c é"})


def test_metrics_count_what_was_answered(client: Client) -> None:
    before = client.metrics()
    predicted(client, row(), row(rider=10**6))
    client.predict(row(amount="x"))
    after = client.metrics()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('twinbeam_gateway_requests_total{route="/v1/predict",status="200"}') == 1
    assert more('twinbeam_gateway_requests_total{route="/v1/predict",status="422"}') == 1
    assert more('twinbeam_gateway_rows_total{version="1"}') == 2
    assert more('twinbeam_gateway_rows_marked_total{mark="incomplete"}') == 2
    assert more('twinbeam_gateway_rows_marked_total{mark="stale"}') == 0
    assert more('twinbeam_gateway_live_values_total{feature="pair",status="known"}') == 1
    assert more('twinbeam_gateway_live_values_total{feature="pair",status="unknown"}') == 1
    for stage, count in {"parse": 2, "wait": 1, "store": 1, "model": 1}.items():
        assert more(f'twinbeam_gateway_stage_seconds_count{{stage="{stage}"}}') == count
    assert after['twinbeam_gateway_watermark_seconds{source="rides"}'] == pytest.approx(END / 1e6)
