"""What a replay finds: in turn each rule is broken at one place of the stream's side, and the replay has to see it.

The rules are broken only while the stream runs, so that the batch job's values are what they should be; they are the
same for all, and are computed once.
"""

import dataclasses
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline.jobs.replay as replay_job
from modules.kernel import answer, cells, grid, keys, plan, row, take, window
from modules.kernel.whole import limbs
from modules.spec import Declaration
from pipeline.engines.engine import Engine
from pipeline.jobs.backfill import backfill
from pipeline.jobs.replay import Disorder, Replayed, replay
from pipeline.jobs.stream import stream
from pipeline.live import merge, pacing, parse, reader
from pipeline.live.account import Account
from pipeline.live.merge_events import MergeEvents
from pipeline.live.watermark import source_watermark
from pipeline.stores.sqlite import SqliteStore
from tests.pipeline.jobs.adversary import declare, write

Breaking = Callable[[pytest.MonkeyPatch], None]


class Stage:
    """The dataset with its batch values, to be replayed again and again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._declaration = declare(directory)
        self._events = write(directory)
        self._requests = str(directory / "requests.jsonl")
        self._account = backfill(self._declaration, self._events, self._requests, directory / "batch")

    def replay(self, monkeypatch: pytest.MonkeyPatch, broken: Breaking | None = None) -> Replayed:
        """Replays it in batches so small that much is closed, folded and swept between two pauses.

        Once something differs, the rest is left out.
        """
        read = replay_job._Comparison._read

        def read_until_found(self: replay_job._Comparison, features: reader.FeatureReader, pause: int) -> None:
            read(self, features, pause)
            if self._mismatches:
                (pacer,) = pacing._PACERS.values()
                pacer._at = len(pacer._pauses)

        def streamed(*arguments: Any, **named: Any) -> Any:
            with pytest.MonkeyPatch.context() as patch:
                if broken:
                    broken(patch)
                return stream(*arguments, **named)

        monkeypatch.setattr(replay_job, "backfill", self._backfill)
        monkeypatch.setattr(replay_job, "stream", streamed)
        monkeypatch.setattr(replay_job._Comparison, "_read", read_until_found)
        monkeypatch.setattr(merge, "_SWEEP_EVERY", 5)
        monkeypatch.setattr(row, "_FOLD_AT", 4)
        return replay(
            self._declaration, self._events, self._requests, None, Disorder("10s", 0.2, late=True, seed=5), 12
        )

    def _backfill(
        self,
        declaration: Declaration,
        events: Mapping[str, Sequence[str]],
        requests: str | None,
        output: Path,
        engine: Engine,
    ) -> Account:
        shutil.copytree(self._directory / "batch", output)
        return self._account


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


def test_nothing_differs_where_nothing_is_broken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, quick_disk: None
) -> None:
    found = stage.replay(monkeypatch)
    assert found.mismatches == 0
    assert found.never_compared == 0
    assert found.compared > found.requests * found.features
    assert found.incomplete > 0
    assert found.refused > 0


class _Windows(window.Windows):
    """Windows that keep what they are made of."""

    def __init__(self, windows: Sequence[window.Window]) -> None:
        super().__init__(windows)
        self.step = np.array([[each.step] for each in windows])
        self.edge = np.array([[each.edge] for each in windows])


class _LaterStop(_Windows):
    def edges(self, slots: np.ndarray) -> np.ndarray:
        start, stop = super().edges(slots)
        return np.stack([start, stop + self.edge])


class _LaterStart(_Windows):
    def edges(self, slots: np.ndarray) -> np.ndarray:
        start, stop = super().edges(slots)
        return np.stack([start + self.step, stop])


class _WithoutDelay(window.Windows):
    def __init__(self, windows: Sequence[window.Window]) -> None:
        super().__init__([dataclasses.replace(each, delay=0) for each in windows])


def _windows(broken: type[window.Windows]) -> Breaking:
    return lambda patch: patch.setattr(plan, "Windows", broken)


def _no_deduplication(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(row, "_distinguish", lambda known, before: (np.arange(len(known) - before), np.empty(0, np.int64)))


def _content_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(row, "_content", lambda entity, events: np.zeros(len(events), np.int64))


def _owner_forgotten(patch: pytest.MonkeyPatch) -> None:
    distinguish = row._distinguish
    patch.setattr(
        row, "_distinguish", lambda known, before: distinguish(cells.Owned(known.table, known.owners * 0), before)
    )


def _closed_too_early(patch: pytest.MonkeyPatch) -> None:
    closed = window.closed_slots
    patch.setattr(row, "closed_slots", lambda *arguments: closed(*arguments) + 1)


def _identities_forgotten_too_early(patch: pytest.MonkeyPatch) -> None:
    encode = row.encode

    def without(*arguments: Any) -> list[row.Encoded]:
        return [row.Encoded(each.recent, b"", each.older, each.expires) for each in encode(*arguments)]

    patch.setattr(row, "encode", without)


def _register_before_rows(patch: pytest.MonkeyPatch) -> None:
    merge_batch = MergeEvents._merge

    def early(self: MergeEvents, batch: Any, told: Any) -> None:
        if writer := self._writers.get((batch.source, None)):
            writer.advance(batch.partition, batch.watermark, batch.position)
        merge_batch(self, batch, told)

    patch.setattr(MergeEvents, "_merge", early)


def _foremost_partition(patch: pytest.MonkeyPatch) -> None:
    def greatest(source: str, registers: Any) -> int:
        return max(source_watermark(source, [register]) for register in registers if register.source == source)

    patch.setattr(merge, "source_watermark", greatest)


def _complete_too_early(patch: pytest.MonkeyPatch) -> None:
    complete = window.complete
    patch.setattr(reader, "complete", lambda stops, watermark, lateness, tick: complete(stops, watermark, 0, tick))


def _old_requests_answered(patch: pytest.MonkeyPatch) -> None:
    fetch, decode = SqliteStore.fetch, row.decode

    def without(self: SqliteStore, rows: Any) -> Any:
        found = fetch(self, rows)
        return type(found)(found.rows, found.registers, {})

    patch.setattr(SqliteStore, "fetch", without)
    patch.setattr(row, "decode", lambda *given: (*(parts := decode(*given))[:2], parts[2] * 0 + window.NEVER))
    _cut_unseen(patch)


def _cut_unseen(patch: pytest.MonkeyPatch) -> None:
    """Nobody sees that a cell is cut: what it holds counts as of its start."""
    ranges = answer._ranges

    def unseen(part: cells.Owned, edges: np.ndarray, owners: np.ndarray) -> np.ndarray:
        table = part.table.copy()
        table[cells.WIDTH] = 1
        return ranges(cells.Owned(table, part.owners), edges, owners)

    patch.setattr(answer, "_ranges", unseen)


def _wide_cells(patch: pytest.MonkeyPatch) -> None:
    def wide(windows: Any, starts: np.ndarray, floors: np.ndarray) -> np.ndarray:
        return np.where(widths(windows, starts, floors) > 0, 60, 0)

    widths = grid.widths
    patch.setattr(grid, "widths", wide)


def _coarsened_across_an_edge(patch: pytest.MonkeyPatch) -> None:
    _wide_cells(patch)
    _cut_unseen(patch)


def _expired_too_early(patch: pytest.MonkeyPatch) -> None:
    widths = grid.widths

    def needed(windows: Any, starts: np.ndarray, floors: np.ndarray) -> np.ndarray:
        return np.where(widths(windows, starts, floors + 60) > 0, widths(windows, starts, floors), 0)

    patch.setattr(grid, "widths", needed)


def _row_swept_too_early(patch: pytest.MonkeyPatch) -> None:
    sweep = SqliteStore.sweep
    patch.setattr(SqliteStore, "sweep", lambda self, entity, before: sweep(self, entity, before + 400))


def _float_sums(scale: int) -> Breaking:
    """Of values, each so many of the kernel's whole numbers."""

    def broken(patch: pytest.MonkeyPatch) -> None:
        combine = cells.combine

        def floats(entity: Any, table: np.ndarray, at: np.ndarray) -> np.ndarray:
            joined = combine(entity, table, at)
            for parts in entity.layout.values():
                if (low := parts.get("sum")) is not None:
                    numbers = np.ldexp(table[low + 1].astype(np.float64), 30) + table[low]
                    joined[low : low + 2] = limbs((np.add.reduceat(numbers / scale, at) * scale).astype(np.int64))
            return joined

        patch.setattr(cells, "combine", floats)

    return broken


def _tie_to_the_least(patch: pytest.MonkeyPatch) -> None:
    rank = cells.rank_last
    patch.setattr(cells, "rank_last", lambda times, values: rank(times, -values))


def _verdict(late: int, ahead: int) -> Breaking:
    """Lateness, and how far an event may be ahead, are a microsecond shorter or longer."""

    def broken(patch: pytest.MonkeyPatch) -> None:
        judge = take.judge

        def judged(source: Any, columns: Any, ingest: Any) -> np.ndarray:
            return judge(
                dataclasses.replace(source, lateness=source.lateness + late, ahead=source.ahead + ahead),
                columns,
                ingest,
            )

        patch.setattr(parse, "judge", judged)

    return broken


def _null_key_counted(patch: pytest.MonkeyPatch) -> None:
    def some(columns: Any) -> tuple[np.ndarray, list[bytes]]:
        owners, found = keys.code_keys(columns)
        return np.maximum(owners, 0), found

    patch.setattr(merge, "code_keys", some)


def _null_meets_the_filter(patch: pytest.MonkeyPatch) -> None:
    meets = take.meets

    def kind(conditions: Any, columns: Any) -> np.ndarray:
        met = meets(conditions, columns)
        for condition in conditions:
            met |= columns[condition.column].is_null().to_numpy(zero_copy_only=False)
        return met

    patch.setattr(take, "meets", kind)


def _older_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SqliteStore, "read_older", lambda self, rows: [b""] * len(rows))


def _rows_under_one_key(patch: pytest.MonkeyPatch) -> None:
    encode = keys.encode_key
    patch.setattr(keys, "encode_key", lambda values: encode([1 if value == 2 else value for value in values]))


BROKEN: dict[str, Breaking] = {
    "the edge at the request is closed, not open": _windows(_LaterStop),
    "the far edge is open, not closed": _windows(_LaterStart),
    "a label is seen before its delay": _windows(_WithoutDelay),
    "nothing is deduplicated": _no_deduplication,
    "a conflict is dropped": _content_forgotten,
    "an event of one key hides that of another": _owner_forgotten,
    "slots are closed a tick too early": _closed_too_early,
    "identities are forgotten in open slots": _identities_forgotten_too_early,
    "the register moves before the rows are written": _register_before_rows,
    "the foremost partition stands for its source": _foremost_partition,
    "answers are complete without regard to lateness": _complete_too_early,
    "requests that are too old are answered": _old_requests_answered,
    "cells are coarsened across an edge": _coarsened_across_an_edge,
    "cells expire too early": _expired_too_early,
    "rows are swept too early": _row_swept_too_early,
    "sums are floats, added in the order of arrival": _float_sums(1),
    "of a tie, the least value is the last": _tie_to_the_least,
    "lateness is a microsecond too short": _verdict(-1, 0),
    "lateness is a microsecond too long": _verdict(1, 0),
    "the future begins a microsecond too early": _verdict(0, -1),
    "the future begins a microsecond too late": _verdict(0, 1),
    "a null key is a key": _null_key_counted,
    "a null meets a filter": _null_meets_the_filter,
    "the store loses the older part of a row": _older_lost,
    "two keys share a row": _rows_under_one_key,
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch, quick_disk: None, rule: str) -> None:
    found = stage.replay(monkeypatch, BROKEN[rule])
    assert found.mismatches >= 1
    assert len(found.differences) == min(found.mismatches, 10)


def test_a_cell_that_an_edge_cuts_is_no_answer_at_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, quick_disk: None
) -> None:
    with pytest.raises(Exception, match=r"an edge at slot [0-9]+ would cut a cell"):
        stage.replay(monkeypatch, _wide_cells)
