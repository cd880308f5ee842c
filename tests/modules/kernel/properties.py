"""What must hold for every case and schedule, as functions that raise AssertionError (or the kernel's own error)."""

from modules.kernel.answer import Answer
from modules.kernel.take import judge
from tests.modules.kernel import oracle
from tests.modules.kernel.paths import VERDICTS, Stream, assert_same, by_batch, by_oracle
from tests.strategies import Case, Schedule, columns


def batch_is_the_oracle(case: Case) -> None:
    """What counts, and all answers from the whole history."""
    verdicts = judge(case.entity.source, columns(case.events), None).tolist()
    assert [VERDICTS[each] for each in verdicts] == [oracle.verdict(case.entity.source, e) for e in case.events]
    assert_same(by_batch(case), by_oracle(case))


def every_schedule_is_the_oracle(case: Case, schedule: Schedule) -> None:
    """After each bundle all complete answers that are not too old, and what became of each event."""
    expected = by_oracle(case)
    stream = Stream(case)
    for watermark in stream.play(schedule):
        _complete_ones_are_right(stream, expected, watermark)
    end = stream.watermark
    least = min((asked.slot for asked in case.requests if asked.slot >= stream.floor), default=stream.floor)
    stream.finish(end, least)  # it is only just answered
    _complete_ones_are_right(stream, expected, end)


def every_floor_is_the_oracle(case: Case) -> None:
    """Closed rows are folded with each request's slot as the floor, one after the other; it then is just answered."""
    expected = by_oracle(case)
    stream = Stream(case)
    for _ in stream.play(Schedule((), 0, 64)):
        pass
    for floor in sorted({asked.slot for asked in case.requests}):
        stream.finish(stream.watermark, floor)
        _complete_ones_are_right(stream, expected, stream.watermark)


def closed_and_folded_rows_are_alike(case: Case, one: Schedule, other: Schedule) -> None:
    """Rows that were closed by the same watermark and folded with the same floor."""
    streams = Stream(case), Stream(case)
    for stream, schedule in zip(streams, (one, other), strict=True):
        for _ in stream.play(schedule):
            pass
    floor = max(stream.floor for stream in streams)
    for stream in streams:
        stream.finish(stream.watermark, floor)
        for stored in stream.store.values():
            stored.version = 0
            assert stored.identities == b""
    assert streams[0].store == streams[1].store


def _complete_ones_are_right(stream: Stream, expected: dict[str, Answer], watermark: int) -> None:
    source, requests = stream.entity.source, stream.case.requests
    answers, fresh = stream.ask(range(len(requests)))
    for feature in stream.entity.features:
        nth = [n for n, at in enumerate(fresh)
               if oracle.complete(source, feature.window, requests[at].slot, watermark)]  # fmt: skip
        found = answers[feature.name]
        some = Answer(found.values[nth], found.empty[nth])
        assert_same({feature.name: some}, {feature.name: expected[feature.name]}, [fresh[n] for n in nth])
