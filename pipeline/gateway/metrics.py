"""What the gateway counts, for Prometheus: a registry of its own, so that nothing else is in it."""

import contextlib
import time
from collections.abc import Iterator
from functools import cache
from typing import Literal

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from pipeline.gateway.lookup import Looked, words

Stage = Literal["parse", "wait", "store", "model"]
_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one gateway."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        requests = Counter("twinbeam_gateway_requests", "Requests answered.", ["route", "status"], registry=registry)
        seconds = Histogram(
            "twinbeam_gateway_request_seconds",
            "From a request's head to its reply.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        stages = Histogram(
            "twinbeam_gateway_stage_seconds",
            "Time of one stage of a prediction.",
            ["stage"],
            buckets=_BUCKETS,
            registry=registry,
        )
        rows = Counter("twinbeam_gateway_rows", "Rows predicted, by version.", ["version"], registry=registry)
        marked = Counter(
            "twinbeam_gateway_rows_marked",
            "Rows predicted that are incomplete, stale, or have defaults by policy.",
            ["mark"],
            registry=registry,
        )
        values = Counter(
            "twinbeam_gateway_live_values", "Live values used, by status.", ["feature", "status"], registry=registry
        )
        watermark = Gauge(
            "twinbeam_gateway_watermark_seconds",
            "Everything ingested before it is in the rows last read; Unix time.",
            ["source"],
            registry=registry,
        )
        # Finding a metric by its labels takes longer than counting.
        self._requests, self._seconds, self._stages = (
            cache(requests.labels),
            cache(seconds.labels),
            cache(stages.labels),
        )
        self._rows, self._marked, self._values = cache(rows.labels), cache(marked.labels), cache(values.labels)
        self._watermark = cache(watermark.labels)

    def text(self) -> bytes:
        """All of them, in Prometheus's text format."""
        return generate_latest(self._registry)

    @contextlib.contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Times a stage of a prediction."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.took(stage, time.perf_counter() - started)

    def took(self, stage: Stage, seconds: float) -> None:
        """Notes how long a stage took."""
        self._stages(stage).observe(seconds)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Counts a reply."""
        self._requests(route, str(status)).inc()
        self._seconds(route).observe(seconds)

    def predicted(self, looked: Looked, version: int) -> None:
        """Counts rows that have got a score."""
        rows = len(looked.times)
        self._rows(str(version)).inc(rows)
        whole = np.logical_and.reduce([found.complete for found in looked.live.values()] or [np.ones(rows, bool)])
        marks = {"incomplete": ~whole, "stale": looked.stale, "defaults": looked.defaults}
        for mark, here in marks.items():
            self._marked(mark).inc(int(np.count_nonzero(here)))
        for feature, found in looked.live.items():
            statuses = found.status.tolist()
            for status in set(statuses):
                self._values(feature, words(status)).inc(statuses.count(status))
        for source, watermark in looked.watermarks.items():
            if watermark is not None:
                self._watermark(source).set(watermark / 1e6)
