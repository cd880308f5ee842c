"""Runs the TFX graph on this machine, one component after the other, and tells how each went."""

import dataclasses
import re
import time
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils, tfx_runner
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import pipeline_pb2

from modules.spec import OutputError
from pipeline.orchestration.beam_memo import remember_signatures_and_options

Outputs = dict[str, list[types.Artifact]]


@dataclasses.dataclass(frozen=True)
class Finished:
    """How one component went."""

    name: str
    seconds: float
    cached: bool
    """Whether its last output was reused."""
    outputs: Outputs


class LocalRunner(tfx_runner.IrBasedRunner):
    """TFX's own LocalDagRunner says nothing until it is done, and goes on where a component's inputs are missing."""

    def __init__(self, run_id: str, on_start: Any, on_finish: Any) -> None:
        self._run_id = run_id
        self._on_start = on_start
        self._on_finish = on_finish

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: Any = None, **kwargs: Any) -> None:
        remember_signatures_and_options()
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self._run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        config = deployment.metadata_connection_config
        connection = getattr(config, config.WhichOneof("connection_config"))
        _check(connection)
        for node in pipeline.nodes:
            name = node.pipeline_node.node_info.id
            self._on_start(name)
            started = time.monotonic()
            execution = launcher.Launcher(
                pipeline_node=node.pipeline_node,
                mlmd_connection=metadata.Metadata(connection),
                pipeline_info=pipeline.pipeline_info,
                pipeline_runtime_spec=pipeline.runtime_spec,
                executor_spec=runner_utils.extract_executor_spec(deployment, name),
                custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
            ).launch()
            assert execution is not None
            with metadata.Metadata(connection) as handle:
                state, outputs = _result(handle, execution.execution_id)
            if state not in (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED):
                raise RuntimeError(f"the component {name} did not run; the log says why")
            cached = state == metadata_store_pb2.Execution.CACHED
            self._on_finish(Finished(name, time.monotonic() - started, cached, outputs))


def _check(connection: metadata_store_pb2.ConnectionConfig) -> None:
    """Opens ML Metadata once, to say what is wrong with it.

    Raises:
      OutputError: The file is not a database, or another release's.
    """
    try:
        with metadata.Metadata(connection):
            return
    except RuntimeError as error:
        if re.search("file is not a database|malformed|schema version", str(error)):
            raise OutputError(
                f"{connection.sqlite.filename_uri}: this is no database that this release of ML Metadata can open. "
                "Remove it, and what was made before is made again; or name another --output DIR."
            ) from None
        raise


def _result(handle: metadata.Metadata, execution_id: int) -> tuple[int, Outputs]:
    [execution] = handle.store.get_executions_by_id([execution_id])
    return execution.last_known_state, execution_lib.get_output_artifacts(handle, execution_id)
