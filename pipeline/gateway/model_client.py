"""Scores from a model server, TensorFlow Serving's or one that speaks its protocol, by a version that was checked."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np

from modules.spec import FINGERPRINT_SIGNATURE, Declaration
from pipeline.gateway.refusal import away, too_slow
from pipeline.serving.inputs import input_dtypes
from pipeline.serving.model_server.status import InvalidArgument
from pipeline.serving.model_server.tensors import to_array
from pipeline.serving.protocol import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc, types_pb2

Metadata = Sequence[tuple[str, str]]

SIGNATURE = "serving_examples"
"""Which asks for scores: one input costs client and server far less than one for each feature."""
NAMED_SIGNATURE = "serving_default"
"""Which tells what features the model takes."""
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
]
_ENUMS = {"float32": types_pb2.DT_FLOAT, "int64": types_pb2.DT_INT64, "bool": types_pb2.DT_BOOL,
          "object": types_pb2.DT_STRING}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a version answered."""

    version: int
    values: np.ndarray
    """float32, shape (rows,)."""


class ModelClient:
    """One channel to a model server; threads may share it.

    Scores are given only by versions whose inputs and live features are the declared ones. Each version is asked once,
    and again after the connection was lost, since another server may answer then.
    """

    def __init__(self, declaration: Declaration, target: str, name: str, timeout_s: float) -> None:
        """Connects to nothing yet.

        Args:
          declaration: What the model must have been trained on.
          target: host:port.
          name: The model's name there.
          timeout_s: For which one call may last.
        """
        self.name = name
        self._declaration, self._target, self._timeout_s = declaration, target, timeout_s
        self._dtypes = {name: _ENUMS[str(dtype)] for name, dtype in input_dtypes(declaration).items()}
        self._channel = grpc.insecure_channel(target, _OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._checked: set[int] = set()
        self._channel.subscribe(self._forget)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.unsubscribe(self._forget)
        self._channel.close()

    def score(self, examples: Sequence[bytes], metadata: Metadata = ()) -> Scores:
        """The scores of rows.

        Args:
          examples: The rows, as `serialized_examples` makes them.
          metadata: Goes with the call.

        Raises:
          Refusal: 503 if the server is away or its model is not the declared one, 504 if it is too slow.
        """
        request = self._request(SIGNATURE)
        request.output_filter.append("score")
        tensor = request.inputs["examples"]
        tensor.dtype = types_pb2.DT_STRING
        tensor.tensor_shape.dim.add().size = len(examples)
        tensor.string_val.extend(examples)
        for _ in range(2):  # the version may be unloaded between its answer and the look at it
            response = self._call(self._stub.Predict, request, metadata)
            version = response.model_spec.version.value
            if version in self._checked or self._check(version):
                where = f"{self._target}: version {version} of {self.name}"
                return Scores(version, _scores(response, len(examples), where))
        raise away(f"{self._target}: no version of {self.name} stays long enough to be checked. Repeat later.")

    def check(self) -> int:
        """Asks the version that answers for its inputs and live features, again if it was asked before.

        Returns:
          The version.

        Raises:
          Refusal: As `score` does.
        """
        version = self._metadata(None).model_spec.version.value
        self._checked.discard(version)
        if not self._check(version):
            raise away(f"{self._target}: version {version} of {self.name} was unloaded. Repeat.")
        return int(version)

    def _check(self, version: int) -> bool:
        """Whether a version may give scores; False if it is not there any more."""
        where = f"{self._target}: version {version} of {self.name}"
        try:
            metadata = self._metadata(version)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            metadata.metadata["signature_def"].Unpack(signatures)
            found = signatures.signature_def
            if NAMED_SIGNATURE in found:
                self._check_inputs(where, {name: info.dtype for name, info in found[NAMED_SIGNATURE].inputs.items()})
            if missing := [name for name in (NAMED_SIGNATURE, SIGNATURE) if name not in found]:
                raise away(f"{where} has no signature {missing[0]}. Serve a model that Twinbeam has pushed.")
            said = self._fingerprints(version) if FINGERPRINT_SIGNATURE in found else {}
        except _Gone:
            return False
        if different := self._declaration.trained_otherwise(said):
            raise away(f"{where} {different}. Serve a model of this declaration, or give --features the model's.")
        self._checked.add(version)
        return True

    def _fingerprints(self, version: int) -> dict[str, str]:
        response = self._call(self._stub.Predict, self._request(FINGERPRINT_SIGNATURE, version))
        return {name: _text(proto) for name, proto in response.outputs.items()}

    def _check_inputs(self, where: str, found: dict[str, int]) -> None:
        wrong = [name for name in self._dtypes.keys() | found.keys() if self._dtypes.get(name) != found.get(name)]
        if wrong:
            raise away(
                f"{where} takes other features than are declared: {', '.join(sorted(wrong))}. Serve a model of this "
                "declaration, or give --features the model's."
            )

    def _metadata(self, version: int | None) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self.name
        if version is not None:
            request.model_spec.version.value = version
        return self._call(self._stub.GetModelMetadata, request)

    def _request(self, signature: str, version: int | None = None) -> Any:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        return request

    def _call(self, method: Any, request: Any, metadata: Metadata = ()) -> Any:
        try:
            return method(request, timeout=self._timeout_s, metadata=tuple(metadata))
        except grpc.RpcError as error:
            details = (error.details() or "").rstrip(".")
            match error.code():
                case grpc.StatusCode.DEADLINE_EXCEEDED:
                    message = f"{self._target}: the model server did not answer within {self._timeout_s} s."
                    raise too_slow(f"{message} Repeat later, or raise --model-timeout-s.") from None
                case grpc.StatusCode.NOT_FOUND if request.model_spec.HasField("version"):
                    raise _Gone from None
                case grpc.StatusCode.NOT_FOUND:
                    raise away(
                        f"{self._target}: it serves no model {self.name}. Name its model with --model."
                    ) from None
                case grpc.StatusCode.UNAVAILABLE:
                    raise away(f"{self._target}: the model server is away. Start it, or repeat later.") from None
                case code:
                    raise away(f"{self._target}: the model server refused: {code.name}: {details}.") from None

    def _forget(self, state: grpc.ChannelConnectivity) -> None:
        """Forgets what was checked when the connection is lost."""
        if state != grpc.ChannelConnectivity.READY:
            self._checked.clear()


class _Gone(Exception):
    """A version is not there any more."""


def _scores(response: Any, rows: int, where: str) -> np.ndarray:
    try:
        scores = to_array(response.outputs["score"], "score")
    except InvalidArgument:
        scores = np.empty(0)
    if scores.dtype != np.float32 or scores.shape != (rows,) or not np.isfinite(scores).all():
        raise away(f"{where} gave no score of each row. Serve a model that Twinbeam has pushed.")
    return scores


def _text(proto: Any) -> str:
    try:
        found = to_array(proto, FINGERPRINT_SIGNATURE)
    except InvalidArgument:
        return "?"
    return found.item().decode(errors="replace") if found.dtype.hasobject and found.size == 1 else "?"
