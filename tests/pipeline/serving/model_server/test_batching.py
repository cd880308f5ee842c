import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2

from pipeline.serving.model_server.batching import BatchedModel, BatchScheduler
from pipeline.serving.model_server.messages import BatchingParameters
from pipeline.serving.model_server.status import ServingError
from pipeline.serving.model_server.tensors import Array
from tests.pipeline.serving.model_server.serving import Client, floats, running, write

X, Y = "x:0", "y:0"


class Doubling:
    """y = 2x, which notes what it is asked, and waits while it is held."""

    def __init__(self) -> None:
        signature = meta_graph_pb2.SignatureDef()
        signature.inputs["x"].name = X
        signature.outputs["y"].name = Y
        self.signatures: dict[str, Any] = {"serving_default": signature}
        self.fed: list[list[Any]] = []
        self.released = threading.Event()
        self.released.set()

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        self.released.wait(10)
        self.fed.append(feeds[X].tolist())
        if -1 in feeds[X]:
            return [np.zeros(1)]
        return [feeds[X] * 2 for _ in fetches]

    def close(self) -> None:
        """Has nothing to let go of."""


@pytest.fixture
def model() -> Doubling:
    return Doubling()


@pytest.fixture
def batched(model: Doubling) -> Iterator[Any]:
    schedulers = []

    def make(text: str) -> BatchedModel:
        parameters = text_format.Parse(text, BatchingParameters())
        schedulers.append(BatchScheduler(parameters))
        return schedulers[-1].wrap(model, parameters)

    yield make
    model.released.set()
    for scheduler in schedulers:
        scheduler.close()


def ask(batched: BatchedModel, *requests: list[Any]) -> list[Any]:
    """All requests at once; what each was answered, or what it raised."""

    def one(request: list[Any]) -> Any:
        try:
            return batched.run({X: np.array(request)}, [Y])[0].tolist()
        except ServingError as error:
            return str(error)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(one, requests))


ONE_THREAD = "num_batch_threads { value: 1 } "


def test_requests_that_come_together_run_together(model: Doubling, batched: Any) -> None:
    joined = batched(ONE_THREAD + "max_batch_size { value: 6 } batch_timeout_micros { value: 5000000 }")
    assert ask(joined, [1], [2, 3], [4, 5, 6]) == [[2], [4, 6], [8, 10, 12]]
    assert [sorted(fed) for fed in model.fed] == [[1, 2, 3, 4, 5, 6]]  # full, so nobody waited five seconds


def test_a_batch_that_is_not_full_waits_no_longer_than_it_may(model: Doubling, batched: Any) -> None:
    joined = batched("batch_timeout_micros { value: 200000 }")
    started = time.monotonic()
    assert ask(joined, [1], [2]) == [[2], [4]]
    assert 0.2 <= time.monotonic() - started < 5
    assert len(model.fed) == 1


def test_batches_are_padded_to_an_allowed_size(model: Doubling, batched: Any) -> None:
    joined = batched("max_batch_size { value: 4 } allowed_batch_sizes: [2, 4]")
    assert ask(joined, [7, 8, 9]) == [[14, 16, 18]]
    assert ask(joined, [7]) == [[14]]
    assert model.fed == [[7, 8, 9, 7], [7, 7]]


def test_inputs_of_different_widths(model: Doubling, batched: Any) -> None:
    rows = [[1]], [[2, 3]]
    wait = ONE_THREAD + "max_batch_size { value: 2 } batch_timeout_micros { value: 5000000 } "
    refused = ask(batched(wait), *rows)
    assert refused[0] == refused[1]
    assert refused[0].startswith("FAILED_PRECONDITION: ")
    assert "pad_variable_length_inputs" in refused[0]
    assert ask(batched(wait + "pad_variable_length_inputs: true"), *rows) == [[[2, 2]], [[4, 6]]]


def test_a_full_queue_refuses(model: Doubling, batched: Any) -> None:
    joined = batched(ONE_THREAD + "max_batch_size { value: 1 } max_enqueued_batches { value: 2 }")
    model.released.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = []
        for count in (0, 1, 2):  # one runs, two wait
            waiting.append(pool.submit(joined.run, {X: np.array([count])}, [Y]))
            time.sleep(0.2)
        with pytest.raises(ServingError, match="UNAVAILABLE: The batch scheduling queue to which this task was submit"):
            joined.run({X: np.array([3])}, [Y])
        model.released.set()
        assert [each.result()[0].tolist() for each in waiting] == [[0], [2], [4]]


def test_a_request_larger_than_a_batch(model: Doubling, batched: Any) -> None:
    (said,) = ask(batched("max_batch_size { value: 2 }"), [1, 2, 3])
    assert said == "INVALID_ARGUMENT: Task size 3 is larger than maximum input batch size 2"
    split = (
        "max_batch_size { value: 5 } enable_large_batch_splitting { value: true } max_execution_batch_size { value: 2 }"
    )
    assert ask(batched(split), [1, 2, 3, 4, 5]) == [[2, 4, 6, 8, 10]]
    assert sorted(map(len, model.fed)) == [1, 2, 2]


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        (np.array(1), "Batching Run.. input tensors must have at least one dimension"),
        (np.array([-1, 2]), "Batched output tensor's 0th dimension does not equal the sum"),
    ],
)
def test_what_cannot_be_batched(batched: Any, feed: Array, message: str) -> None:
    with pytest.raises(ServingError, match=message):
        batched("").run({X: feed}, [Y])


def test_what_is_no_signature_runs_alone(model: Doubling, batched: Any) -> None:
    joined = batched("batch_timeout_micros { value: 60000000 }")
    assert [each.tolist() for each in joined.run({X: np.array([1])}, [Y, "z:0"])] == [[2], [2]]


def test_allowed_sizes_end_with_the_greatest(batched: Any) -> None:
    with pytest.raises(ServingError) as raised:
        batched("max_batch_size { value: 4 } allowed_batch_sizes: [2, 3]")
    assert str(raised.value) == (
        "INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size; last entry was 3; expected 4"
    )


def test_a_server_that_batches(saved: Path, tmp_path: Path) -> None:
    parameters = write(tmp_path / "batching", "max_batch_size { value: 64 } batch_timeout_micros { value: 2000 }")
    with running(
        model_name="m", model_base_path=str(saved / "linear"), enable_batching=True, batching_parameters_file=parameters
    ) as client:

        def predict(number: int, client: Client = client) -> float:
            return float(client.predict("m", x=floats(number)).outputs["y"].float_val[0])

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(predict, range(100))) == [number / 2 + 2 for number in range(100)]
        assert client.post("m:predict", {"instances": [2, 4]}) == (200, {"predictions": [3.0, 4.0]})
