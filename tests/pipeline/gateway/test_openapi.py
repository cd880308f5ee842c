"""The gateway does what its OpenAPI page says, whatever is sent: fuzzed by schemathesis."""

import importlib
import pkgutil
import re
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode, specs
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.pipeline.gateway.serving import Client

# Before the gateway's threads run: pytest parses each module of its plugins that is imported, schemathesis imports
# most of its own when they are needed, and Python 3.11 does not bear two threads that parse.
for _module in pkgutil.walk_packages(specs.__path__, "schemathesis.specs."):
    importlib.import_module(_module.name)

OPERATIONS = [
    ("/v1/predict", "POST"),
    ("/v1/features/{source}/{columns}/{key}", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
]
NO_SCHEMA_SAYS = re.compile(
    r"is older than the rows in the store can answer|less than 2\^53 in units of 1/100|^read -?92233720368547\d{5};"
    r"|^read 253402300800000000;"
)
"""What makes rows that are as described not acceptable; the last are int64's bounds, and the greatest time's, in
schemathesis's floats."""


@pytest.fixture(scope="module")
def described(client: Client) -> Any:
    too_many = {"negative_data_rejection": {"expected-statuses": [400, 404, 405, 413, 415, 422]}}
    config = schemathesis.Config.from_dict({"checks": too_many})
    return schemathesis.openapi.from_url(f"{client.url}/openapi.json", config=config)


def test_all_operations_are_tried(described: Any) -> None:
    found = [(each.ok().path, each.ok().method.upper()) for each in described.get_all_operations()]
    assert sorted(found) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        *((path, method, GenerationMode.POSITIVE) for path, method in OPERATIONS),
        *((path, method, GenerationMode.NEGATIVE) for path, method in OPERATIONS[:2]),
    ],
)
@hypothesis.settings(max_examples=60, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(st.data())
def test_what_is_answered_is_what_is_described(
    described: Any, path: str, method: str, mode: GenerationMode, data: st.DataObject
) -> None:
    case = data.draw(described[path][method].as_strategy(generation_mode=mode))
    response = case.call()
    known_later = response.status_code == 422 and all(
        NO_SCHEMA_SAYS.search(problem["message"]) for problem in response.json()["error"]["problems"]
    )
    case.validate_response(response, excluded_checks=[positive_data_acceptance] if known_later else [])
