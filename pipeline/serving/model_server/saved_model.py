"""A SavedModel in a graph and a session of its own, called through the session's C++ callables.

`tf.saved_model.load` refuses models of TensorFlow 1 that hold ref variables, and `session.run` checks what is fed
against the shape of the placeholder, which TensorFlow Serving does not. A callable has neither fault, is thread-safe,
and lets go of the interpreter's lock while it runs. Its maker has no public name; a test holds it to what is said here.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from pipeline.serving.model_server.status import InvalidArgument, NotFound
from pipeline.serving.model_server.tensors import Array, dtype_name

_MOST_CALLABLES = 64
"""A client may ask for any subset of outputs; each one asked for is compiled, and the oldest are forgotten."""
_IN_CALLERS_THREAD = config_pb2.RunOptions(inter_op_thread_pool=-1)
"""Requests run beside each other; to spread one over threads costs more than the operations of a small model."""


class SavedModel:
    """A loaded version."""

    def __init__(self, directory: Path, tags: Sequence[str], config: Any) -> None:
        """Loads it, variables and initializers included.

        Args:
          directory: That of the version.
          tags: The meta graph's.
          config: The session's ConfigProto.

        Raises:
          NotFound: There is no SavedModel, or no meta graph with these tags.
          tf.errors.OpError: TensorFlow cannot load it.
        """
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        self._callables: dict[tuple[tuple[str, ...], tuple[str, ...]], Any] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._lock = threading.Lock()
        try:
            with self._graph.as_default():
                meta_graph = tf.compat.v1.saved_model.loader.load(self._session, list(tags), str(directory))
        except (OSError, RuntimeError) as error:
            self._session.close()
            raise NotFound(str(error)) from None
        except BaseException:
            self._session.close()
            raise
        self.signatures: dict[str, Any] = dict(meta_graph.signature_def)

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        """The fetched tensors, in order.

        Args:
          feeds: Arrays by the name of the tensor in the graph.
          fetches: Names of tensors.

        Raises:
          InvalidArgument: A feed has another dtype than its tensor.
          tf.errors.OpError: TensorFlow says so.
        """
        names = sorted(feeds)  # TensorFlow Serving numbers its args so
        for number, name in enumerate(names):
            expected = self._dtypes.get(name) or self._dtype(name)
            if feeds[name].dtype != expected:
                given = dtype_name(feeds[name].dtype)
                raise InvalidArgument(f"Expects arg[{number}] to be {dtype_name(expected)} but {given} is provided")
        call = self._callable(tuple(names), tuple(fetches))
        return [_array(value) for value in call(*(feeds[name] for name in names))]

    def close(self) -> None:
        """Lets go of the model's memory. Nobody may be calling it."""
        self._callables.clear()
        self._session.close()

    def _callable(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Any:
        found = self._callables.get((feeds, fetches))
        if found is None:
            options = config_pb2.CallableOptions(feed=feeds, fetch=fetches, run_options=_IN_CALLERS_THREAD)
            with self._lock:
                found = self._callables.get((feeds, fetches)) or self._session._make_callable_from_options(options)
                if len(self._callables) >= _MOST_CALLABLES:
                    del self._callables[next(iter(self._callables))]
                self._callables[feeds, fetches] = found
        return found

    def _dtype(self, name: str) -> np.dtype[Any]:
        try:
            dtype = self._graph.get_tensor_by_name(name).dtype.base_dtype
        except (KeyError, ValueError) as error:
            raise InvalidArgument(str(error)) from None
        return self._dtypes.setdefault(name, np.dtype(dtype.as_numpy_dtype))


def _array(value: Any) -> Array:
    """A scalar comes as bytes or as numpy's scalar."""
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)
