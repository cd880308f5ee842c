"""The two ways through the kernel: a whole history at once, and a stream of deliveries into rows of a shared store."""

import dataclasses
import random
from collections.abc import Iterator, Sequence

import numpy as np

from modules.kernel import row
from modules.kernel.answer import Answer, Requests, answer
from modules.kernel.plan import Entity
from modules.kernel.take import COUNTS, FUTURE, LATE, VALUE, judge, take
from tests.modules.kernel import oracle
from tests.strategies import Case, Request, Row, Schedule, Step, columns

VERDICTS: dict[int, oracle.Verdict] = {COUNTS: "counts", LATE: "late", FUTURE: "future", VALUE: "value"}


def bits(values: np.ndarray) -> list[int]:
    """Bit patterns; `==` does not tell 0.0 from -0.0."""
    assert values.dtype in (np.int64, np.float64)
    return values.view(np.int64).tolist()


def counting(case: Case) -> list[Row]:
    """The events that count."""
    verdicts = judge(case.entity.source, columns(case.events), None).tolist()
    return [event for event, verdict in zip(case.events, verdicts, strict=True) if verdict == COUNTS]


def owners_of(case: Case, keys: Sequence[tuple[object, ...]]) -> np.ndarray:
    """The index of each key among the case's, -1 where there is a null in it."""
    return np.array([-1 if None in key else case.keys.index(key) for key in keys], np.int64)


def key_of(entity: Entity, event: Row) -> tuple[object, ...]:
    """An event's key."""
    return tuple(event[column] for column in entity.key)


def requests_of(case: Case, asked: Sequence[Request]) -> Requests:
    """Requests as the kernel takes them."""
    slots = np.array([request.slot for request in asked], np.int64)
    return Requests(owners_of(case, [r.key for r in asked]), slots, columns([r.row for r in asked]))


def by_batch(case: Case) -> dict[str, Answer]:
    """All requests, from the whole history."""
    return from_events(case, counting(case))


def from_events(case: Case, events: list[Row]) -> dict[str, Answer]:
    """All requests, from events that count."""
    owners = owners_of(case, [key_of(case.entity, event) for event in events])
    cells, marks, _ = row.history(case.entity, take(case.entity.source, columns(events)), owners)
    return answer(case.entity, cells, marks, requests_of(case, case.requests)).by_name()


def by_oracle(case: Case) -> dict[str, Answer]:
    """All requests, the other way."""
    found = {}
    for feature in case.entity.features:
        all_expected = [
            oracle.expected(
                case.entity, feature, case.events, None if None in asked.key else asked.key, asked.slot, asked.row
            )
            for asked in case.requests
        ]
        values = np.array([each.value for each in all_expected], np.dtype(feature.dtype))
        found[feature.name] = Answer(values, np.array([each.empty for each in all_expected], bool))
    return found


def assert_same(found: dict[str, Answer], expected: dict[str, Answer], where: Sequence[int] | None = None) -> None:
    """Fails unless all bits are the same, of the requests `where` or of all; `found` holds those only."""
    assert found.keys() == expected.keys()
    for name, answered in found.items():
        at = slice(None) if where is None else np.array(where, np.int64)
        assert answered.values.dtype == expected[name].values.dtype, name
        assert bits(answered.values) == bits(expected[name].values[at]), (name, answered, expected[name])
        assert answered.empty.tolist() == expected[name].empty[at].tolist(), name


@dataclasses.dataclass
class Stored:
    """A row in a store."""

    version: int
    recent: bytes
    identities: bytes
    older: bytes


class Stream:
    """A stream that is merged into rows, and all that is known of it from outside."""

    def __init__(self, case: Case) -> None:
        self.case, self.entity = case, case.entity
        self.events = counting(case)
        self.owners = owners_of(case, [key_of(self.entity, event) for event in self.events]).tolist()
        self.store: dict[int, Stored] = {}
        self.floor = -(2**62)
        """The greatest that any fold had."""
        told = self.entity.source.ingest_time is not None  # else events are as if ingested when they happened
        self._ingested = [e["ingest"] if told and e["ingest"] is not None else e["time"] for e in self.events]
        self._identities = [oracle.identity(self.entity, event) for event in self.events]
        self._merged: set[tuple[int, tuple[object, ...]]] = set()  # (owner, identity) in a written row
        self._delivered: set[int] = set()  # without a key
        self._watermarks: dict[int, int] = {}  # by row, the greatest that was written with it

    @property
    def watermark(self) -> int:
        """The greatest honest one: all that was ingested before it is merged."""
        waiting = [self._ingested[index] for index in self._waiting()]
        source = self.entity.source
        end = max(self._ingested, default=0) + source.lateness + source.slack + 200_000 * source.tick
        return min(waiting, default=end)

    def play(self, schedule: Schedule) -> Iterator[int]:
        """Delivers everything; stops after each bundle to give the watermark."""
        for step in schedule.steps:
            self.deliver([index % len(self.events) for index in step.events] if self.events else [], step)
            yield self.watermark
        rest = self._waiting()
        random.Random(schedule.seed).shuffle(rest)
        for first in range(0, len(rest), schedule.at_once):
            self.deliver(rest[first : first + schedule.at_once], Step((), 0, False, 0, "due", 60, True))
            yield self.watermark

    def deliver(self, indexes: Sequence[int], step: Step) -> None:
        """Merges a bundle into its rows, in one or more attempts."""
        watermark = self.watermark - step.lag
        rows = sorted({self.owners[index] for index in indexes} - {-1})
        read = {owner: self.store.get(owner) for owner in rows}
        if step.late_read:  # a second writer is given the bundle too, and is faster
            self._attempt(list(reversed(indexes)), rows, {r: self.store.get(r) for r in rows}, watermark, step, 0)
        refused = self._attempt(indexes, rows, read, watermark, step, step.lost)
        if refused:
            again = [index for index in indexes if self.owners[index] in refused]
            self._attempt(again, refused, {r: self.store.get(r) for r in refused}, watermark, step, step.lost)
        self._delivered.update(index for index in indexes if self.owners[index] < 0)

    def finish(self, watermark: int, floor: int) -> None:
        """Closes and folds all rows."""
        rows = sorted(self.store)
        step = Step((), 0, False, 0, "all", watermark // self.entity.source.tick - floor, False)
        self._attempt([], rows, {owner: self.store[owner] for owner in rows}, watermark, step, 0)

    def ask(self, where: Sequence[int]) -> tuple[dict[str, Answer], list[int]]:
        """The answers to some of the requests that are not below their row's floor, and which these are."""
        wanted = requests_of(self.case, self.case.requests)
        rows = [self.store.get(owner) for owner in range(len(self.case.keys))]
        stored = [None if each is None else (each.recent, each.older) for each in rows]
        cells, marks, floors = row.decode(self.entity, stored)
        whose = wanted.owners[np.array(where, np.int64)]
        fresh = [at for at, owner in zip(where, whose, strict=True) if owner < 0 or wanted.slots[at] >= floors[owner]]
        asked = requests_of(self.case, [self.case.requests[at] for at in fresh])
        return answer(self.entity, cells, marks, asked).by_name(), fresh

    def _waiting(self) -> list[int]:
        return [
            index
            for index, owner in enumerate(self.owners)
            if ((owner, self._identities[index]) not in self._merged if owner >= 0 else index not in self._delivered)
        ]

    def _attempt(
        self,
        indexes: Sequence[int],
        rows: list[int],
        read: dict[int, Stored | None],
        watermark: int,
        step: Step,
        lost: int,
    ) -> list[int]:
        """Merges as a writer does; gives the rows that another writer changed since they were read."""
        old = [read[owner] for owner in rows]
        events = take(self.entity.source, columns([self.events[index] for index in indexes]))
        whose = np.array([rows.index(o) if (o := self.owners[index]) >= 0 else -1 for index in indexes], np.int64)
        stored = [None if each is None else (each.recent, each.identities) for each in old]
        merged = row.merge(self.entity, stored, events, whose, watermark)
        everything = np.arange(len(rows))
        at = {"none": everything[:0], "due": row.due(merged.rows), "all": everything}[step.fold]
        floor = watermark // self.entity.source.tick - step.look_back
        if step.snap:
            floor = max((asked.slot for asked in self.case.requests if asked.slot <= floor), default=floor)
        older = [each.older if (each := old[index]) is not None else b"" for index in at.tolist()]
        folded, new = row.fold(self.entity, merged.rows, at, older, floor)
        refused = []
        encoded = row.encode(self.entity, folded, dict(zip(at.tolist(), new, strict=True)))
        current = [self.store.get(owner) for owner in rows]
        valid = [
            a is b or (a is not None and b is not None and a.version == b.version)
            for a, b in zip(current, old, strict=True)
        ]
        self._check(indexes, merged, [owner for owner, fine in zip(rows, valid, strict=True) if fine], watermark)
        for nth, (owner, new_row) in enumerate(zip(rows, encoded, strict=True)):
            before = old[nth]
            if not valid[nth]:
                refused.append(owner)
            elif not lost >> nth & 1:
                version, kept = (0, b"") if before is None else (before.version, before.older)
                content = new_row.recent, new_row.identities, kept if new_row.older is None else new_row.older
                self.store[owner] = Stored(version + 1, *content)
                self._merged.update((owner, self._identities[i]) for i in indexes if self.owners[i] == owner)
                self._watermarks[owner] = max(self._watermarks.get(owner, watermark), watermark)
                self.floor = max(self.floor, floor) if nth in at else self.floor
        return refused

    def _check(self, indexes: Sequence[int], merged: row.Merged, rows: list[int], watermark: int) -> None:
        """What became of each event, and which conflicts were seen, against what is known of what is in the rows."""
        seen: set[tuple[int, tuple[object, ...]]] = set()
        conflicts = set(merged.conflicts.tolist())
        here = {(self.owners[index], self._identities[index]) for index in indexes}
        for at, index in enumerate(indexes):
            owner, identity = self.owners[index], self._identities[index]
            if owner not in rows:
                continue
            slot = oracle.slot(self.events[index]["time"], self.entity.source.tick)
            was_open = not oracle.is_closed(self.entity.source, slot, self._watermarks.get(owner, -(2**62)))
            if (owner, identity) in seen or ((owner, identity) in self._merged and was_open):
                fate = row.DUPLICATE
            elif (owner, identity) in self._merged:
                fate = row.CLOSED
            else:
                fate = row.TAKEN
            assert merged.outcomes[at] == fate, (at, index, merged.outcomes, fate)
            known = here | self._merged if was_open else here
            rivals = {other for whose, other in known if whose == owner and other[:2] == identity[:2]} - {identity}
            assert (at in conflicts) == (fate != row.CLOSED and bool(rivals)), (at, index, rivals)
            seen.add((owner, identity))
