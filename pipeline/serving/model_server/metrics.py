"""What is counted, under TensorFlow Serving's names, and the page that Prometheus reads."""

import functools
import time
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.tensors import Array

DEFAULT_PATH = "/monitoring/prometheus/metrics"

_PREFIX = ":tensorflow:serving:"

disable_created_metrics()
REGISTRY = CollectorRegistry()


def _exponential(scale: float, growth: float, count: int) -> list[float]:
    return [scale * growth**power for power in range(count)]


_LATENCY = _exponential(10, 1.8, 33)

REQUEST_COUNT = Counter(
    f"{_PREFIX}request_count", "The total number of requests.", ["model_name", "status"], registry=REGISTRY
)
REQUEST_LATENCY = Histogram(
    f"{_PREFIX}request_latency", "Microseconds of a request.", ["model_name", "API", "entrypoint"],
    buckets=_LATENCY, registry=REGISTRY,
)  # fmt: skip
RUNTIME_LATENCY = Histogram(
    f"{_PREFIX}runtime_latency", "Microseconds in TensorFlow.", ["model_name", "API", "runtime"],
    buckets=_LATENCY, registry=REGISTRY,
)  # fmt: skip
EXAMPLE_COUNTS = Histogram(
    f"{_PREFIX}request_example_counts", "Examples of a request.", ["model"],
    buckets=_exponential(1, 2, 15), registry=REGISTRY,
)  # fmt: skip
EXAMPLE_COUNT_TOTAL = Counter(
    f"{_PREFIX}request_example_count_total_total",  # the library takes one off
    "The total number of examples.", ["model"], registry=REGISTRY,
)  # fmt: skip
WARMUP_LATENCY = Histogram(
    f"{_PREFIX}model_warmup_latency", "Microseconds of a warm-up.", ["model_path", "status"],
    buckets=_LATENCY, registry=REGISTRY,
)  # fmt: skip
WARMUP_RECORDS = Counter(
    f"{_PREFIX}model_warmup_records_read", "Warm-up records read.", ["model_path", "status"], registry=REGISTRY
)
QUEUING_LATENCY = Histogram(
    f"{_PREFIX}batching_session:queuing_latency", "Microseconds in a batching queue.", ["thread_pool_name"],
    buckets=_exponential(100, 1.2, 52), registry=REGISTRY,
)  # fmt: skip
WRAPPED_RUN_COUNT = Counter(f"{_PREFIX}batching_session:wrapped_run_count", "Batches that were run.", registry=REGISTRY)


# Finding a metric by its labels takes longer than counting; these are of models that have answered, so there are few.
_request_latency, _runtime_latency = functools.cache(REQUEST_LATENCY.labels), functools.cache(RUNTIME_LATENCY.labels)
_request_count = functools.cache(REQUEST_COUNT.labels)


def answered(name: str, api: str, entrypoint: str, started: float) -> None:
    """Counts a call that has got its answer, over GRPC or REST."""
    _request_latency(name, api, entrypoint).observe(micros_since(started))
    _request_count(name, "OK").inc()


def micros_since(started: float) -> float:
    """Microseconds since `time.perf_counter()` said `started`."""
    return (time.perf_counter() - started) * 1e6


def timed_run(servable: Servable, api: str, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
    """Runs the model, and counts how long it took."""
    started = time.perf_counter()
    outputs = servable.model.run(feeds, fetches)
    _runtime_latency(servable.name, api, "TF1").observe(micros_since(started))
    return outputs


def page() -> str:
    """All metrics in Prometheus's text format."""
    lines = []
    for metric in REGISTRY.collect():
        lines.append(f"# TYPE {metric.name} {metric.type}")
        for sample in metric.samples:
            name = sample.name.removesuffix("_total") if metric.type == "counter" else sample.name  # the library's
            labels = ",".join(f'{key}="{_value(key, value)}"' for key, value in sample.labels.items())
            lines.append(f"{name}{{{labels}}} {sample.value:.17g}")
    return "\n".join(lines) + "\n"


def counts(names: Iterable[str]) -> dict[str, int]:
    """The first value of each counter, by TensorFlow Serving's name for it: /tensorflow/serving/request_count."""
    found = {
        sample.name.removesuffix("_total"): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples[:1]
    }
    return {name: int(found.get(name.replace("/", ":"), 0)) for name in names}


def _value(label: str, value: str) -> str:
    """A label's value, escaped; a histogram's bound as upstream prints it."""
    if label == "le" and value != "+Inf":
        return f"{float(value):g}"
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
