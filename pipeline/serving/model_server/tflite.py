"""A TensorFlow Lite model behind the same calls as a SavedModel."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from flatbuffers import flexbuffers
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.lite.python import schema_py_generated

from pipeline.serving.model_server import methods
from pipeline.serving.model_server.servable import DEFAULT_SIGNATURE
from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import Array, dtype_name


class TFLiteModel:
    """A loaded model. It runs one request at a time."""

    def __init__(self, path: Path) -> None:
        """Loads it.

        Raises:
          ValueError: It is no TensorFlow Lite model, or has an operation that is not known.
        """
        content = path.read_bytes()
        self._interpreter: Any = tf.lite.Interpreter(model_content=content)
        self._interpreter.allocate_tensors()
        self._lock = threading.Lock()
        self._inputs = {each["name"]: each for each in self._interpreter.get_input_details()}
        self._outputs = {each["name"]: each for each in self._interpreter.get_output_details()}
        self.signatures: dict[str, Any] = self._read_signatures(content)

    def _read_signatures(self, content: bytes) -> dict[str, Any]:
        """The model's own, in one of two forms; without any, one whose aliases are the names of the tensors."""
        found = _from_metadata(content)
        for signature in found.values():
            for infos, details in ((signature.inputs, self._inputs), (signature.outputs, self._outputs)):
                for info in infos.values():  # the converter drops the number of the output
                    info.name = info.name if info.name in details else info.name.partition(":")[0]
        if found:
            return found
        by_index = {each["index"]: name for name, each in (self._inputs | self._outputs).items()}
        for key in self._interpreter.get_signature_list():
            runner = self._interpreter.get_signature_runner(key)
            inputs = {alias: by_index[each["index"]] for alias, each in runner.get_input_details().items()}
            outputs = {alias: by_index[each["index"]] for alias, each in runner.get_output_details().items()}
            found[key] = self._signature(inputs, outputs)
        names = {name: name for name in self._inputs}, {name: name for name in self._outputs}
        return found or {DEFAULT_SIGNATURE: self._signature(*names)}

    def _signature(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Any:
        signature = meta_graph_pb2.SignatureDef(method_name=methods.PREDICT)
        for infos, aliases, details in (
            (signature.inputs, inputs, self._inputs),
            (signature.outputs, outputs, self._outputs),
        ):
            for alias, name in aliases.items():
                infos[alias].name = name
                infos[alias].dtype = tf.as_dtype(details[name]["dtype"]).as_datatype_enum
                for size in details[name]["shape_signature"]:
                    infos[alias].tensor_shape.dim.add(size=int(size))
        return signature

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        """The fetched tensors, in order; inputs are resized to what is fed."""
        for number, name in enumerate(sorted(feeds)):
            expected = _numpy_dtype(self._inputs[name])
            if feeds[name].dtype != expected:
                given = dtype_name(feeds[name].dtype)
                raise InvalidArgument(f"Expects arg[{number}] to be {dtype_name(expected)} but {given} is provided")
        with self._lock:
            shapes = {each["index"]: tuple(each["shape"]) for each in self._interpreter.get_input_details()}
            for name, array in feeds.items():
                index = self._inputs[name]["index"]
                if shapes[index] != array.shape:
                    self._interpreter.resize_tensor_input(index, array.shape)
            self._interpreter.allocate_tensors()
            for name, array in feeds.items():
                self._interpreter.set_tensor(self._inputs[name]["index"], array)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(self._outputs[name]["index"]) for name in fetches]

    def close(self) -> None:
        """Lets go of the model's memory."""
        del self._interpreter


def _from_metadata(content: bytes) -> dict[str, Any]:
    """SignatureDefs that a tool for TensorFlow Serving wrote beside the model."""
    model = schema_py_generated.Model.GetRootAs(content)
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == b"signature_defs_metadata":
            packed = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            signatures = flexbuffers.GetRoot(packed).AsMap
            return {
                key.AsKey: meta_graph_pb2.SignatureDef.FromString(value.AsStringBytes)
                for key, value in zip(signatures.Keys, signatures.Values, strict=True)
            }
    return {}


def _numpy_dtype(details: Any) -> np.dtype[Any]:
    kind = details["dtype"]
    return np.dtype(object) if kind in (bytes, np.bytes_, np.object_) else np.dtype(kind)
