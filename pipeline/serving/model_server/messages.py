"""Messages of TensorFlow Serving that its Python package lacks, built from their fields."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_FILE = "twinbeam/model_server_messages.proto"
_PACKAGE = "tensorflow.serving"
_Field = descriptor_pb2.FieldDescriptorProto

_STRING, _BYTES, _BOOL, _INT64 = _Field.TYPE_STRING, _Field.TYPE_BYTES, _Field.TYPE_BOOL, _Field.TYPE_INT64
_MESSAGES: dict[str, list[tuple[int, str, int | str, bool]]] = {
    "SSLConfig": [
        (1, "server_key", _STRING, False),
        (2, "server_cert", _STRING, False),
        (3, "custom_ca", _STRING, False),
        (4, "client_verify", _BOOL, False),
    ],
    "PrometheusConfig": [(1, "enable", _BOOL, False), (2, "path", _STRING, False)],
    "MonitoringConfig": [(1, "prometheus_config", f".{_PACKAGE}.PrometheusConfig", False)],
    "BatchingParameters": [
        (1, "max_batch_size", ".google.protobuf.Int64Value", False),
        (2, "batch_timeout_micros", ".google.protobuf.Int64Value", False),
        (3, "max_enqueued_batches", ".google.protobuf.Int64Value", False),
        (4, "num_batch_threads", ".google.protobuf.Int64Value", False),
        (5, "thread_pool_name", ".google.protobuf.StringValue", False),
        (6, "allowed_batch_sizes", _INT64, True),
        (7, "pad_variable_length_inputs", _BOOL, False),
        (8, "enable_large_batch_splitting", ".google.protobuf.BoolValue", False),
        (9, "max_execution_batch_size", ".google.protobuf.Int64Value", False),
    ],
    "SerializedExampleList": [(1, "examples", _BYTES, True)],
    "SerializedExampleListWithContext": [(1, "examples", _BYTES, True), (2, "context", _BYTES, False)],
    "SerializedInput": [
        (1, "example_list", f".{_PACKAGE}.SerializedExampleList", False),
        (2, "example_list_with_context", f".{_PACKAGE}.SerializedExampleListWithContext", False),
    ],
}
"""Number, name, type and whether repeated, of each field. `SerializedInput` is `Input` with examples left as bytes."""


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name=_FILE, package=_PACKAGE, syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind, repeated in fields:
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            field = message.field.add(number=number, name=field_name, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _Field.TYPE_MESSAGE, kind
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()  # of its own: another package may bring the real ones
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_classes = _build()
SSLConfig: Any = _classes["SSLConfig"]
MonitoringConfig: Any = _classes["MonitoringConfig"]
BatchingParameters: Any = _classes["BatchingParameters"]
SerializedInput: Any = _classes["SerializedInput"]
