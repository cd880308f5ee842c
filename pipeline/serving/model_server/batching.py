"""Requests joined into batches: concatenated along the first dimension, run once, and split again."""

import collections
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from pipeline.serving.model_server import metrics
from pipeline.serving.model_server.messages import BatchingParameters
from pipeline.serving.model_server.servable import Model
from pipeline.serving.model_server.status import FailedPrecondition, InvalidArgument, ServingError
from pipeline.serving.model_server.tensors import Array
from pipeline.serving.model_server.text_files import read_message

_log = logging.getLogger(__name__)

_MAX_BATCH_SIZE = 1000
_MAX_ENQUEUED_BATCHES = 10


def per_model_parameters(directory: Path) -> Any:
    """The parameters that a version brings along; None without them."""
    path = directory / "batching_params.pbtxt"
    return read_message(str(path), BatchingParameters) if path.exists() else None


@dataclasses.dataclass
class _Task:
    feeds: dict[str, Array]
    size: int
    started: float = dataclasses.field(default_factory=time.perf_counter)
    outputs: Future[list[Array]] = dataclasses.field(default_factory=Future)


@dataclasses.dataclass
class _Batch:
    """Tasks that run together; closed once it is full or old enough."""

    closes_at: float
    tasks: list[_Task] = dataclasses.field(default_factory=list)
    size: int = 0


class _Queue:
    """Batches of one model that feed and fetch the same tensors."""

    def __init__(self, model: "BatchedModel", fetches: tuple[str, ...]) -> None:
        self.model = model
        self.fetches = fetches
        self.batches: collections.deque[_Batch] = collections.deque()


class BatchScheduler:
    """The threads that run batches, shared by all models."""

    def __init__(self, parameters: Any) -> None:
        """Starts the threads.

        Args:
          parameters: BatchingParameters, of which it takes the threads.
        """
        count = parameters.num_batch_threads.value if parameters.HasField("num_batch_threads") else 0
        self.name = parameters.thread_pool_name.value or "batch_threads"
        self.changed = threading.Condition()
        self._queues: list[_Queue] = []
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{self.name} {number}", daemon=True)
            for number in range(count or len(os.sched_getaffinity(0)))
        ]
        for thread in self._threads:
            thread.start()

    def wrap(self, model: Model, parameters: Any) -> "BatchedModel":
        """The model with its requests joined.

        Raises:
          InvalidArgument: The parameters contradict each other.
        """
        return BatchedModel(self, model, parameters)

    def add(self, queue: _Queue) -> None:
        """Looks after the queue from now on. The caller holds `changed`."""
        self._queues.append(queue)

    def forget(self, model: "BatchedModel") -> None:
        """Leaves the queues of the model."""
        with self.changed:
            self._queues = [queue for queue in self._queues if queue.model is not model]

    def close(self) -> None:
        """Ends the threads once the queues are empty."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self.changed:
                while (found := self._next()) is None:
                    if self._closed:
                        return
                    closing = [queue.batches[0].closes_at for queue in self._queues if queue.batches]
                    self.changed.wait(max(min(closing) - time.monotonic(), 0.0001) if closing else None)
                queue, batch = found
            queue.model.process(batch, queue.fetches)

    def _next(self) -> tuple[_Queue, _Batch] | None:
        """A batch that is full, or old enough; of several the oldest."""
        now = time.monotonic()
        ready = [
            queue
            for queue in self._queues
            if queue.batches
            and (
                len(queue.batches) > 1
                or self._closed
                or queue.batches[0].closes_at <= now
                or queue.batches[0].size >= queue.model.max_batch_size
            )
        ]
        if not ready:
            return None
        queue = min(ready, key=lambda each: each.batches[0].closes_at)
        return queue, queue.batches.popleft()


class BatchedModel:
    """A model whose requests wait for others to be run with.

    Those that feed or fetch anything but a signature's tensors run at once, alone.
    """

    def __init__(self, scheduler: BatchScheduler, model: Model, parameters: Any) -> None:
        """Reads the parameters.

        Raises:
          InvalidArgument: They contradict each other.
        """
        self._scheduler = scheduler
        self._model = model
        self.signatures = model.signatures
        limit = parameters.max_batch_size
        self._limit = limit.value if parameters.HasField("max_batch_size") else _MAX_BATCH_SIZE
        self._split = parameters.enable_large_batch_splitting.value
        self.max_batch_size = (self._split and parameters.max_execution_batch_size.value) or self._limit
        self._timeout_s = parameters.batch_timeout_micros.value / 1e6
        enqueued = parameters.max_enqueued_batches
        self._enqueued = enqueued.value if parameters.HasField("max_enqueued_batches") else _MAX_ENQUEUED_BATCHES
        self._allowed = list(parameters.allowed_batch_sizes)
        self._pad_inputs = parameters.pad_variable_length_inputs
        if self._allowed and self._allowed[-1] != self._limit:
            raise InvalidArgument(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{self._allowed[-1]}; expected {self._limit}"
            )
        self._queues: dict[tuple[frozenset[str], tuple[str, ...]], _Queue] = {}
        for signature in model.signatures.values():
            feeds = frozenset(info.name for info in signature.inputs.values())
            fetches = tuple(sorted({info.name for info in signature.outputs.values()}))
            if feeds and (feeds, fetches) not in self._queues:
                self._queues[feeds, fetches] = _Queue(self, fetches)
        with scheduler.changed:
            for queue in self._queues.values():
                scheduler.add(queue)

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        """The fetched tensors, in order, out of a batch."""
        queue = self._queues.get((frozenset(feeds), tuple(sorted(set(fetches)))))
        if queue is None:
            _log.debug("a request for %s bypasses the batches: no signature has these inputs and outputs", fetches)
            return self._model.run(feeds, fetches)
        size = _size(feeds)
        if size > self.max_batch_size and self._split:
            starts = range(0, size, self.max_batch_size)
            tasks = [
                self._enqueue(
                    queue, {name: array[start : start + self.max_batch_size] for name, array in feeds.items()}
                )
                for start in starts
            ]
            parts = [task.outputs.result() for task in tasks]
            outputs = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        elif size > self._limit:
            raise InvalidArgument(f"Task size {size} is larger than maximum input batch size {self._limit}")
        else:
            outputs = self._enqueue(queue, dict(feeds)).outputs.result()
        by_name = dict(zip(queue.fetches, outputs, strict=True))
        return [by_name[name] for name in fetches]

    def close(self) -> None:
        """Lets go of the model."""
        self._scheduler.forget(self)
        self._model.close()

    def _enqueue(self, queue: _Queue, feeds: dict[str, Array]) -> _Task:
        task = _Task(feeds, len(next(iter(feeds.values()))))
        with self._scheduler.changed:
            batches = queue.batches
            if not batches or batches[-1].size + task.size > self.max_batch_size:
                if len(batches) >= self._enqueued:
                    raise ServingError(
                        grpc.StatusCode.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full; task size is "
                        f"{task.size} but scheduling capacity is only 0 (num_enqueued_batches={len(batches)}, "
                        f"max_enqueued_batches={self._enqueued}, open_batch_size={batches[-1].size}, "
                        f"max_execution_batch_size={self.max_batch_size})",
                    )
                batches.append(_Batch(time.monotonic() + self._timeout_s))
            batches[-1].tasks.append(task)
            batches[-1].size += task.size
            self._scheduler.changed.notify()
        return task

    def process(self, batch: _Batch, fetches: tuple[str, ...]) -> None:
        """Runs the batch, and tells each of its tasks what came of it."""
        for task in batch.tasks:
            metrics.QUEUING_LATENCY.labels(self._scheduler.name).observe(metrics.micros_since(task.started))
        try:
            padding = next((size for size in self._allowed if size >= batch.size), batch.size) - batch.size
            feeds = {
                name: self._joined([task.feeds[name] for task in batch.tasks], padding) for name in batch.tasks[0].feeds
            }
            outputs = self._model.run(feeds, fetches)
            metrics.WRAPPED_RUN_COUNT.inc()
            parts = [_parts(output, batch, padding) for output in outputs]
        except Exception as error:
            for task in batch.tasks:
                task.outputs.set_exception(error)
            return
        for number, task in enumerate(batch.tasks):
            task.outputs.set_result([part[number] for part in parts])

    def _joined(self, arrays: list[Array], padding: int) -> Array:
        if self._pad_inputs:
            arrays = _of_one_shape(arrays)
        elif any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
            raise FailedPrecondition(
                "Tensors from different tasks have different shapes and padding is turned off. Set "
                "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
                "dimensions starting with the first dim."
            )
        if padding:
            arrays = [*arrays, np.repeat(arrays[-1][:1], padding, axis=0)]
        return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def _size(feeds: Mapping[str, Array]) -> int:
    if any(array.ndim == 0 for array in feeds.values()):
        raise InvalidArgument("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in feeds.values()}
    if len(sizes) > 1:
        raise InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def _of_one_shape(arrays: list[Array]) -> list[Array]:
    """The arrays, each filled up with its first element to the greatest shape of all, but for the first dimension."""
    if len({array.ndim for array in arrays}) > 1:
        raise FailedPrecondition("Tensors from different tasks have different ranks, which no padding makes equal.")
    greatest = np.max([array.shape for array in arrays], axis=0)
    padded = []
    for array in arrays:
        missing = [(0, 0), *((0, most - size) for most, size in zip(greatest[1:], array.shape[1:], strict=True))]
        padded.append(np.pad(array, missing, constant_values=array.flat[0]) if array.size else array)
    return padded


def _parts(output: Array, batch: _Batch, padding: int) -> list[Array]:
    if output.ndim == 0:
        raise FailedPrecondition("Batched output tensor has 0 dimensions")
    if len(output) != batch.size + padding:
        raise FailedPrecondition(
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors"
        )
    ends = np.cumsum([task.size for task in batch.tasks])
    return [output[end - task.size : end] for end, task in zip(ends.tolist(), batch.tasks, strict=True)]
