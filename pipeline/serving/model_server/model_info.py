"""What the server says of its models: the state of their versions, and their signatures."""

from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from pipeline.serving.model_server.core import Core
from pipeline.serving.model_server.status import InvalidArgument, NotFound

SIGNATURE_DEF = "signature_def"


def model_status(core: Core, request: Any) -> Any:
    """Answers a GetModelStatusRequest. A label in it is not looked at, as upstream."""
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    spec = request.model_spec
    versions = core.manager.statuses(spec.name)
    if spec.HasField("version"):
        versions = [each for each in versions if each.version == spec.version.value]
        if not versions:
            raise NotFound(f"Could not find version {spec.version.value} of model {spec.name}")
    if not versions:
        raise NotFound(f"Could not find any versions of model {spec.name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for each in versions:
        status = response.model_version_status.add(version=each.version, state=each.state.value)
        status.status.SetInParent()
        if each.error:
            status.status.error_code = each.error.code.value[0]
            status.status.error_message = each.error.message
    return response


def model_metadata(core: Core, request: Any) -> Any:
    """Answers a GetModelMetadataRequest."""
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    if not request.metadata_field:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise InvalidArgument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    signatures = get_model_metadata_pb2.SignatureDefMap()
    with core.use(request.model_spec) as servable:
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        for name, signature in servable.model.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response
