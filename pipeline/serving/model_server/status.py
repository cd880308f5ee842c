"""The errors that a caller sees: a code, and a text that is TensorFlow Serving's wherever it has one."""

import grpc

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ServingError(Exception):
    """A request, or a load, that failed."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class InvalidArgument(ServingError):
    """The request cannot be answered as it is."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, message)


class NotFound(ServingError):
    """What the request names is not there."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.NOT_FOUND, message)


class FailedPrecondition(ServingError):
    """The request does not fit the model's, or the server's, state."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.FAILED_PRECONDITION, message)


def as_serving_error(error: Exception) -> ServingError:
    """What a caller is told of an exception: TensorFlow's keep their code, others are internal."""
    if isinstance(error, ServingError):
        return error
    import tensorflow as tf  # a gateway has it not

    if isinstance(error, tf.errors.OpError):
        return ServingError(_CODES[error.error_code], error.message)
    return ServingError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
