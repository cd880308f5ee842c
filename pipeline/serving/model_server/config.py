"""The models to serve, as a ModelServerConfig says it, and what may follow on what."""

import re
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from pipeline.serving.model_server.status import FailedPrecondition, InvalidArgument

_PLATFORM = "tensorflow"
_ABSOLUTE = re.compile(r"/|[a-zA-Z][0-9a-zA-Z.]*://")


def single_model(name: str, base_path: str) -> Any:
    """The configuration of one model with the default policy."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=_PLATFORM)
    return config


def check_transition(old: Any, new: Any) -> None:
    """Raises if the configuration is no good, or may not follow on the old one.

    Raises:
      InvalidArgument: It is no good.
      FailedPrecondition: It may not follow.
    """
    if new.WhichOneof("config") == "custom_model_config":
        if old.WhichOneof("config") == "model_config_list":
            raise FailedPrecondition(
                "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
                "another."
            )
        raise InvalidArgument("ModelServer does not yet support custom model config.")
    names: set[str] = set()
    for model in new.model_config_list.config:
        if model.name in names:
            raise InvalidArgument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
    for model in new.model_config_list.config:
        if not _ABSOLUTE.match(model.base_path):
            raise InvalidArgument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
    before = {model.name: _platform(model) for model in old.model_config_list.config}
    for model in new.model_config_list.config:
        platform = _platform(model)
        if (was := before.get(model.name, platform)) != platform:
            raise InvalidArgument(
                f"Illegal to change a model's platform. For model {model.name} platform was {was} "
                f"and new platform requested is {platform}"
            )
    for model in new.model_config_list.config:
        if _platform(model) != _PLATFORM:
            raise InvalidArgument(f"Model {model.name} requests unsupported platform {_platform(model)}")


def _platform(model: Any) -> str:
    """The platform; `model_type` is its old form."""
    if model.model_type:
        if model.model_platform:
            raise InvalidArgument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise InvalidArgument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        return _PLATFORM
    if not model.model_platform:
        raise InvalidArgument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    return str(model.model_platform)
