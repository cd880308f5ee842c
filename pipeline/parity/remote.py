"""A model server somewhere, asked over gRPC as whoever serves with it asks."""

from collections.abc import Mapping

import grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from modules.spec import NotFoundError
from pipeline.serving.inputs import Array
from pipeline.serving.model_server.tensors import to_array, to_proto

ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
"""Messages as long as they come."""

_TIMEOUT_S = 600.0


class Remote:
    """TensorFlow Serving, or `twinbeam model-server`, and a model that it serves."""

    def __init__(self, target: str, name: str) -> None:
        """Connects to nothing yet.

        Args:
          target: host:port of its gRPC services.
          name: The model's name there.
        """
        self.target, self.name = target, name
        self._channel = grpc.insecure_channel(target, [*ANY_SIZE, ("grpc.enable_http_proxy", 0)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def call(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of a signature for arrays by name.

        Raises:
          NotFoundError: The server is not there, or does not serve the model.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            to_proto(array, request.inputs[name], as_content=True)
        try:
            answer = self._stub.Predict(request, timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise NotFoundError(
                f"the model server {self.target}: {signature} of the model {self.name} cannot be asked: "
                f"{error.details()}. Start the server, or name the model with --model-name."
            ) from None
        return {name: to_array(proto, name) for name, proto in answer.outputs.items()}

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()
