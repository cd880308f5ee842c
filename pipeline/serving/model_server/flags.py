"""The flags of `tensorflow_model_server`, in TensorFlow's syntax: `--name=value`, and `--name` alone for true."""

import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

HOST_VARIABLE = "TWINBEAM_MODEL_SERVER_HOST"
"""Of the environment: the address that the ports are bound to, for which TensorFlow Serving has no flag."""
EVERY_INTERFACE = "0.0.0.0"  # noqa: S104  as upstream

_IGNORED = {"ignored": True}
_CPUS = len(os.sched_getaffinity(0))


def _help(default: Any, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


def _ignored(default: Any) -> Any:
    return dataclasses.field(default=default, metadata={"help": "Accepted; does nothing here.", **_IGNORED})


@dataclasses.dataclass(frozen=True)
class Flags:
    """Their values; the defaults are TensorFlow Serving's."""

    port: int = _help(8500, "Port of the gRPC API; 0: none.")
    grpc_socket_path: str = _help("", "Path of a UNIX socket for the gRPC API.")
    rest_api_port: int = _help(0, "Port of the HTTP/REST API, another than --port; 0: none.")
    rest_api_num_threads: int = _help(4 * _CPUS, "Threads that answer HTTP/REST requests.")
    rest_api_timeout_in_ms: int = _help(30000, "Longest time of an HTTP/REST request; 0: no limit.")
    rest_api_enable_cors_support: bool = _help(False, "Sends CORS headers.")
    enable_batching: bool = _help(False, "Joins requests into batches.")
    allow_version_labels_for_unavailable_models: bool = _help(
        False, "Lets a new label name a version that is not available yet."
    )
    batching_parameters_file: str = _help("", "Text file with BatchingParameters.")
    enable_per_model_batching_parameters: bool = _help(
        False, "Takes the parameters from `batching_params.pbtxt` in a version's directory; without it no batching."
    )
    model_config_file: str = _help("", "Text file with a ModelServerConfig; --model_name and --model_base_path lapse.")
    model_config_file_poll_wait_seconds: int = _help(0, "Seconds between two looks at it; 0: once.")
    model_name: str = _help("default", "Name of the model.")
    model_base_path: str = _help("", "Directory of its versions.")
    num_load_threads: int = _ignored(0)
    num_unload_threads: int = _ignored(0)
    max_num_load_retries: int = _help(5, "How often a failed load is tried again.")
    load_retry_interval_micros: int = _help(60_000_000, "Microseconds between two tries.")
    file_system_poll_wait_seconds: int = _help(1, "Seconds between two looks for versions; 0: once, below: never.")
    flush_filesystem_caches: bool = _ignored(True)
    tensorflow_session_parallelism: int = _help(0, "Threads of a session; 0: TensorFlow's choice.")
    tensorflow_session_config_file: str = _help("", "Text file with TensorFlow's ConfigProto.")
    tensorflow_intra_op_parallelism: int = _help(0, "Threads of one operation; 0: TensorFlow's choice.")
    tensorflow_inter_op_parallelism: int = _help(0, "Operations at once; 0: TensorFlow's choice.")
    use_alts_credentials: bool = _ignored(False)
    ssl_config_file: str = _help("", "Text file with an SSLConfig, for the gRPC port.")
    platform_config_file: str = _ignored("")
    per_process_gpu_memory_fraction: float = _ignored(0.0)
    saved_model_tags: str = _help("serve", "Tags of the meta graph, with commas between them.")
    grpc_channel_arguments: str = _help("", "Arguments of the gRPC server: key=value,key=value.")
    grpc_max_threads: int = _help(4 * _CPUS, "Threads that run models for gRPC requests.")
    enable_model_warmup: bool = _help(True, "Replays the requests that a version brings along.")
    num_request_iterations_for_warmup: int = _help(0, "How often each is replayed, if above 0.")
    version: bool = _help(False, "Prints the versions and ends.")
    monitoring_config_file: str = _help("", "Text file with a MonitoringConfig.")
    remove_unused_fields_from_bundle_metagraph: bool = _ignored(True)
    prefer_tflite_model: bool = _help(False, "Loads `model.tflite` where there is one.")
    num_tflite_pools: int = _ignored(_CPUS)
    num_tflite_interpreters_per_pool: int = _ignored(1)
    enable_signature_method_name_check: bool = _help(False, "Refuses a signature with another method's name.")
    xla_cpu_compilation_enabled: bool = _ignored(False)
    xla_gpu_compilation_enabled: bool = _ignored(False)
    enable_profiler: bool = _ignored(True)
    thread_pool_factory_config_file: str = _ignored("")
    mixed_precision: str = _ignored("")
    skip_initialize_tpu: bool = _ignored(False)
    enable_grpc_healthcheck_service: bool = _help(False, "Serves grpc.health.v1.")
    enable_serialization_as_tensor_content: bool = _help(False, "Replies with `tensor_content`.")

    def without_effect(self) -> list[str]:
        """The flags that are set and do nothing."""
        return [
            each.name
            for each in dataclasses.fields(self)
            if each.metadata.get("ignored") and getattr(self, each.name) != each.default
        ]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A command line."""

    flags: Flags
    unknown: list[str]
    """Arguments that are no flags."""
    valid: bool
    """Whether every value could be read, and nobody asked for help."""


def parse(arguments: Sequence[str]) -> Parsed:
    """Reads a command line; what is wrong with a value goes to standard error."""
    kinds = {each.name: type(each.default) for each in dataclasses.fields(Flags)}
    values: dict[str, Any] = {}
    unknown: list[str] = []
    valid = True
    for number, argument in enumerate(arguments):
        if argument == "--":
            unknown += arguments[number:]
            break
        name, equals, text = argument.removeprefix("--").partition("=")
        kind = kinds.get(name)
        if kind is None or not argument.startswith("--") or (not equals and kind is not bool):
            unknown.append(argument)
            continue
        try:
            values[name] = _READ[kind](text if equals else "true")
        except ValueError:
            sys.stderr.write(f"Couldn't interpret value {equals}{text} for flag {name}.\n")
            valid = False
    return Parsed(Flags(**values), unknown, valid and unknown[:1] != ["--help"])


def usage(command: str) -> str:
    """All flags with their defaults."""
    lines = [f"usage: {command}", "Flags:"]
    for each in dataclasses.fields(Flags):
        default = each.default
        shown = f'"{default}"' if isinstance(default, str) else str(default).lower()
        lines.append(f"\t{f'--{each.name}={shown}':<33}\t{_NAMES[type(default)]}\t{each.metadata['help']}")
    return "\n".join(lines) + "\n"


def _read_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _read_int(text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?[0-9]+", text):
        raise ValueError(text)
    return int(text)


_READ: dict[type, Any] = {bool: _read_bool, int: _read_int, float: float, str: str}
_NAMES = {bool: "bool", int: "int32", float: "float", str: "string"}
