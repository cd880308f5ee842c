"""The promise: a history at once, and a stream in whatever way it is delivered, give the same bits."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.modules.kernel.properties import (
    batch_is_the_oracle,
    closed_and_folded_rows_are_alike,
    every_floor_is_the_oracle,
    every_schedule_is_the_oracle,
)
from tests.strategies import AGGREGATIONS, Case, Schedule

same_each_time = settings(
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes; ask for it by hand
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@settings(same_each_time, max_examples=25)
@given(data=st.data())
def test_a_history_gives_what_the_oracle_gives(aggregation: str, data: st.DataObject) -> None:
    batch_is_the_oracle(data.draw(strategies.cases(aggregation)))


@settings(same_each_time, max_examples=60)
@given(strategies.cases(), strategies.schedules())
def test_rows_give_what_the_oracle_gives_however_they_came_about(case: Case, schedule: Schedule) -> None:
    every_schedule_is_the_oracle(case, schedule)


@settings(same_each_time, max_examples=40)
@given(strategies.cases(), strategies.schedules(), strategies.schedules())
def test_closed_and_folded_rows_are_the_same_bytes(case: Case, one: Schedule, other: Schedule) -> None:
    closed_and_folded_rows_are_alike(case, one, other)


@settings(same_each_time, max_examples=60)
@given(strategies.cases())
def test_what_a_floor_leaves_is_enough_for_it(case: Case) -> None:
    every_floor_is_the_oracle(case)
