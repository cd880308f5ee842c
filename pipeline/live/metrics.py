"""What the streaming job counts, as Prometheus metrics of this process."""

import time

from prometheus_client import Counter, Gauge, Histogram

from pipeline.sources.source import EARLIEST

EVENTS = Counter("twinbeam_events", "Events read.", ["source"])
MERGED = Counter("twinbeam_events_merged", "Events that count, merged into the online rows.", ["source"])
DUPLICATES = Counter("twinbeam_duplicates", "Events found in a row that they were merged into before.", ["source"])
DEAD_LETTERS = Counter("twinbeam_dead_letters", "Events written to the dead letters.", ["source", "reason"])
RETRIES = Counter("twinbeam_retries", "Repeated attempts, by what could not be reached.", ["what"])
CONTENDED = Counter("twinbeam_rows_contended", "Rows merged again because another job wrote them.", ["source"])
WATERMARK = Gauge("twinbeam_watermark_seconds", "Everything ingested before it is merged; Unix time.", ["source"])
LAG = Gauge("twinbeam_lag_seconds", "How far the watermark is behind the clock, now.", ["source"])
ROW_BYTES = Histogram(
    "twinbeam_row_bytes", "Bytes written of a row.", ["source"], buckets=[2**power for power in range(8, 25, 2)]
)
READY = Gauge("twinbeam_ready", "1 once the first batch of every source is merged.")


def watermark(source: str, micros: int) -> None:
    """Notes how far a source is merged."""
    if micros > EARLIEST:  # else nothing is known yet
        WATERMARK.labels(source).set(micros / 1e6)
        LAG.labels(source).set_function(lambda: time.time() - micros / 1e6)
