"""The models of a configuration, kept as their base paths and the configuration say."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tensorflow_serving.config import model_server_config_pb2

from pipeline.serving.model_server.base_path import aspired_versions
from pipeline.serving.model_server.config import check_transition
from pipeline.serving.model_server.manager import Load, Manager, State
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import FailedPrecondition, InvalidArgument

_log = logging.getLogger(__name__)

_SHORTEST_INTERVAL_S = 0.01


class Core:
    """Finds the servable of a request, and follows base paths and configurations."""

    def __init__(
        self,
        load: Load,
        *,
        poll_s: float = 1,
        max_load_retries: int = 5,
        load_retry_interval_s: float = 60,
        labels_for_unavailable: bool = False,
    ) -> None:
        """Makes one without models.

        Args:
          load: Loads a version.
          poll_s: Between two looks at the base paths; 0 looks after each configuration only, below 0 never, and
            then no model is taken.
          max_load_retries: How often a failed load is tried again.
          load_retry_interval_s: How long after the failure.
          labels_for_unavailable: Whether a new label may name a version that is not there.
        """
        self.manager = Manager(load, max_load_retries, load_retry_interval_s)
        self._poll_s = poll_s
        self._load_retry_interval_s = load_retry_interval_s
        self._labels_for_unavailable = labels_for_unavailable
        self._config = model_server_config_pb2.ModelServerConfig()
        self._labels: dict[tuple[str, str], int] = {}
        self._reloading = threading.Lock()
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="versions", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def use(self, spec: Any) -> Iterator[Servable]:
        """The servable that a ModelSpec means, which stays loaded while the context is open."""
        if not spec.name:
            raise InvalidArgument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        version = spec.version.value if choice == "version" else None
        if choice == "version_label":
            version = self._labels.get((spec.name, spec.version_label))
            if version is None:
                raise InvalidArgument(f"Unrecognized servable version label: {spec.version_label}")
        with self.manager.use(spec.name, version) as servable:
            yield servable

    def reload(self, config: Any, going_on: Callable[[], bool] = lambda: True) -> None:
        """Replaces the configuration, and waits until the models that are new in it are available.

        Args:
          config: A ModelServerConfig.
          going_on: Asked now and then; once it says no, the waiting ends.

        Raises:
          ServingError: It is refused, and the old one stays; or a new model cannot be loaded, or another
            configuration drops it meanwhile.
        """
        with self._reloading:
            check_transition(self._config, config)
            if config.WhichOneof("config") is None:
                return
            labels = self._new_labels(config)
            kind = "servable" if self._config.WhichOneof("config") is None else "model"
            new = {model.name for model in config.model_config_list.config} - self._configured()
            if new and self._poll_s < 0:
                raise FailedPrecondition(
                    "file_system_poll_wait_seconds is below 0: nobody looks for versions, so that no model becomes "
                    "available. Give 0 to look once, or the seconds between two looks."
                )
            for model in config.model_config_list.config:
                if model.HasField("logging_config") and config != self._config:
                    _log.warning("model %s: logging_config is read and nothing is logged", model.name)
            self._config, self._labels = config, labels
            self._wake.set()
        self.manager.wait(new, self._configured, lambda: going_on() and not self._stopped.is_set(), kind)

    def _configured(self) -> set[str]:
        return {model.name for model in self._config.model_config_list.config}

    def _new_labels(self, config: Any) -> dict[tuple[str, str], int]:
        labels = {}
        for model in config.model_config_list.config:
            available = {each.version for each in self.manager.statuses(model.name) if each.state is State.AVAILABLE}
            for label, version in model.version_labels.items():
                is_new = self._labels.get((model.name, label), version) == version
                if version not in available and not (self._labels_for_unavailable and is_new):
                    raise FailedPrecondition(
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference"
                    )
                labels[model.name, label] = version
        return labels

    def _follow(self) -> None:
        interval = self._poll_s or max(self._load_retry_interval_s, _SHORTEST_INTERVAL_S)
        while self._poll_s >= 0 and not self._stopped.is_set():
            configured = self._wake.wait(interval)
            self._wake.clear()
            if self._stopped.is_set():
                return
            try:
                if configured or self._poll_s:
                    self._look()
                for name in self.manager.models():
                    self.manager.settle(name)
            except Exception:  # whatever a version did, the others are looked after
                _log.exception("following the models' versions")

    def _look(self) -> None:
        models = {model.name: model for model in self._config.model_config_list.config}
        for name in self.manager.models() - models.keys():
            self.manager.aspire(name, {})
        for name, model in models.items():
            try:
                paths = aspired_versions(Path(model.base_path), model.model_version_policy)
            except OSError as error:
                _log.error("Could not find base path %s for servable %s with error %s", model.base_path, name, error)
                continue
            if not paths:
                _log.warning(
                    "No versions of servable %s found under base path %s. Did you forget to name your leaf directory "
                    "as a number (eg. '/1/')?", name, model.base_path,
                )  # fmt: skip
            self.manager.aspire(name, paths)

    def close(self) -> None:
        """Stops looking, and unloads what nobody uses."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()
        self.manager.close()
