"""The promise: a history at once, and a stream in whatever way it is delivered, give the same bits."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests import strategies
from tests.modules.kernel import oracle
from tests.modules.kernel.paths import VERDICTS, Stream, assert_same, by_batch, by_oracle
from tests.strategies import AGGREGATIONS, Case, Schedule, columns
from hypothesis import strategies as st
from modules.kernel.take import judge


def batch_is_the_oracle(case: Case) -> None:
    verdicts = judge(case.entity.source, columns(case.events), None).tolist()
    assert [VERDICTS[each] for each in verdicts] == [oracle.verdict(case.entity.source, e) for e in case.events]
    assert_same(by_batch(case), by_oracle(case))


def every_schedule_is_the_oracle(case: Case, schedule: Schedule) -> None:
    expected = by_oracle(case)
    stream = Stream(case)
    for watermark in stream.play(schedule):
        _assert_complete_ones(stream, expected, watermark)
    watermark = stream.watermark
    stream.finish(watermark, stream.floor)
    _assert_complete_ones(stream, expected, watermark)


def _assert_complete_ones(stream: Stream, expected: dict[str, "Answer"], watermark: int) -> None:
    source = stream.entity.source
    for feature in stream.entity.features:
        there = [at for at, asked in enumerate(stream.case.requests)
                 if oracle.complete(source, feature.window, asked.slot, watermark)]
        answers, fresh = stream.ask(there)
        assert_same({feature.name: answers[feature.name]}, {feature.name: expected[feature.name]}, fresh)


def closed_and_folded_rows_are_alike(case: Case, one: Schedule, other: Schedule) -> None:
    streams = Stream(case), Stream(case)
    for stream, schedule in zip(streams, (one, other)):
        for _ in stream.play(schedule):
            pass
    floor = max(stream.floor for stream in streams)
    for stream in streams:
        stream.finish(stream.watermark, floor)
        for each in stream.store.values():
            each.version = 0
            assert each.identities == b""
    assert streams[0].store == streams[1].store


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@settings(max_examples=60)
@given(data=st.data())
def test_batch_is_the_oracle(aggregation, data):
    batch_is_the_oracle(data.draw(strategies.cases(aggregation)))


@settings(max_examples=100)
@given(strategies.cases(), strategies.schedules())
def test_every_schedule_is_the_oracle(case, schedule):
    every_schedule_is_the_oracle(case, schedule)


@settings(max_examples=100)
@given(strategies.cases(), strategies.schedules(), strategies.schedules())
def test_rows_alike(case, one, other):
    closed_and_folded_rows_are_alike(case, one, other)
