"""The versions that are loaded: which to load and unload next, who is using them, and what became of each."""

import contextlib
import dataclasses
import enum
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import grpc

from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import NotFound, ServingError, as_serving_error

_log = logging.getLogger(__name__)

Load = Callable[[str, int, Path], Servable]


class State(enum.IntEnum):
    """A version's life, in the protocol's numbers."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass
class _Version:
    number: int
    path: Path
    aspired: bool = True
    state: State = State.START
    error: ServingError | None = None
    servable: Servable | None = None
    uses: int = 0
    failures: int = 0
    next_attempt: float = 0.0


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What is known of a version."""

    version: int
    state: State
    error: ServingError | None


class Manager:
    """Holds the versions of all models.

    One thread calls `aspire` and `settle`; any may call the others. Availability is preserved: a version that is no
    longer wanted goes only once a wanted one is available, and one that fails to load leaves the old one serving.
    """

    def __init__(self, load: Load, max_retries: int, retry_interval_s: float) -> None:
        """Makes a manager of nothing.

        Args:
          load: Loads a version, given its model's name, its number and its directory.
          max_retries: How often a failed load is tried again.
          retry_interval_s: How long after the failure.
        """
        self._load = load
        self._max_retries = max_retries
        self._retry_interval_s = retry_interval_s
        self._models: dict[str, dict[int, _Version]] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def use(self, model: str, version: int | None) -> Iterator[Servable]:
        """The version, or without one the latest available, which stays loaded while the context is open.

        Raises:
          NotFound: It is not available.
        """
        with self._changed:
            held = self._find(model, version)
            held.uses += 1
            servable = held.servable
            assert servable is not None
        try:
            yield servable
        finally:
            with self._changed:
                held.uses -= 1
                retired = self._take_if_retired(held)
            self._close(held, retired)

    def _find(self, model: str, version: int | None) -> _Version:
        versions = self._models.get(model, {})
        number = version if version is not None else self._latest(versions)
        found = versions.get(number) if number is not None else None
        if found is None or found.state is not State.AVAILABLE:
            request = f"Latest({model})" if version is None else f"Specific({model}, {version})"
            raise NotFound(f"Servable not found for request: {request}")
        return found

    @staticmethod
    def _latest(versions: Mapping[int, _Version]) -> int | None:
        return max((each.number for each in versions.values() if each.state is State.AVAILABLE), default=None)

    def statuses(self, model: str) -> list[VersionStatus]:
        """Every version of the model that there ever was, the greatest number first."""
        with self._changed:
            versions = sorted(self._models.get(model, {}).values(), key=lambda each: -each.number)
            return [VersionStatus(each.number, each.state, each.error) for each in versions]

    def models(self) -> set[str]:
        """The models that there ever were."""
        with self._changed:
            return set(self._models)

    def wait(
        self,
        models: Collection[str],
        configured: Callable[[], Collection[str]],
        going_on: Callable[[], bool],
        kind: str,
    ) -> None:
        """Waits until each model has an available version.

        Args:
          models: Their names.
          configured: The models that there are to be, by now.
          going_on: Asked now and then; once it says no, the waiting ends.
          kind: What upstream calls those that failed.

        Raises:
          ServingError: The versions of a model failed to load, for good, or another configuration has dropped it.
        """
        with self._changed:
            while not (failed := self._failed(models, configured())) and going_on():
                if all(self._latest(self._models.get(model, {})) is not None for model in models):
                    return
                self._changed.wait(0.1)
        if failed:
            listed = "".join(f"{{{each}}}, " for each in failed)
            raise ServingError(
                grpc.StatusCode.UNKNOWN, f"{len(failed)} {kind}(s) did not become available: {{{listed}}}"
            )

    def _failed(self, models: Collection[str], configured: Collection[str]) -> list[str]:
        """The versions of which a model will not become available, and why."""
        found = []
        for name in sorted(models):
            versions = self._models.get(name, {})
            if self._latest(versions) is not None:
                continue
            dropped = "" if name in configured else "ABORTED: another configuration has dropped the model"
            if dropped and not versions:
                found.append(f"{{name: {name}}} due to error: {dropped}")
            for each in versions.values():
                why = each.error if dropped or each.aspired else None
                if each.state is State.END and (why or dropped):
                    found.append(f"{{name: {name} version: {each.number}}} due to error: {why or dropped}")
        return found

    def aspire(self, model: str, paths: Mapping[int, Path]) -> None:
        """Says which versions of the model there should be."""
        with self._changed:
            versions = self._models.setdefault(model, {}) if paths else self._models.get(model, {})
            for number, path in paths.items():
                held = versions.get(number)
                if held is None or (held.state is State.END and not held.aspired):
                    versions[number] = _Version(number, path)
                elif held.state is not State.UNLOADING:  # that one comes again at the next look, once it is gone
                    held.aspired = True
            for held in versions.values():
                if held.number not in paths:
                    held.aspired = False
                    if held.state in (State.START, State.LOADING):
                        held.state = State.END
            self._changed.notify_all()

    def settle(self, model: str) -> None:
        """Loads and unloads until there is nothing more to do for the model now."""
        while True:
            with self._changed:
                held = self._next(list(self._models.get(model, {}).values()))
                if held is None:
                    return
                unload = held.state is State.AVAILABLE
                held.state = State.UNLOADING if unload else State.LOADING
                retired = self._take_if_retired(held)
            if unload:
                _log.info("unloading %s version %d", model, held.number)
                self._close(held, retired)
            else:
                self._try_to_load(model, held)

    @staticmethod
    def _next(versions: list[_Version]) -> _Version | None:
        """The version to unload, which is available, or to load, which is not."""
        unwanted = [each for each in versions if each.state is State.AVAILABLE and not each.aspired]
        aspired = [each for each in versions if each.aspired]
        replaced = not aspired or any(each.state is State.AVAILABLE for each in aspired)
        if unwanted and (replaced or len(unwanted) > 1):
            return min(unwanted, key=lambda each: each.number)
        due = [
            each
            for each in aspired
            if each.state in (State.START, State.LOADING) and each.next_attempt <= time.monotonic()
        ]
        return max(due, key=lambda each: each.number, default=None)

    def _try_to_load(self, model: str, held: _Version) -> None:
        _log.info("loading %s version %d from %s", model, held.number, held.path)
        servable, error = None, None
        try:
            servable = self._load(model, held.number, held.path)
        except Exception as raised:
            error = as_serving_error(raised)
            _log.error("%s version %d from %s: %s", model, held.number, held.path, error)
        with self._changed:
            held.error = error
            if servable is not None:
                held.servable = servable
                held.state = State.AVAILABLE
                _log.info("%s version %d is available", model, held.number)
            else:
                held.failures += 1
                held.next_attempt = time.monotonic() + self._retry_interval_s
                if held.failures > self._max_retries:
                    held.state = State.END
            self._changed.notify_all()

    @staticmethod
    def _take_if_retired(held: _Version) -> Servable | None:
        """What is to be closed of a version that is going and that nobody uses. The caller holds the lock."""
        if held.state is not State.UNLOADING or held.uses:
            return None
        retired, held.servable = held.servable, None
        return retired

    def _close(self, held: _Version, retired: Servable | None) -> None:
        """Closes it, which takes time, and so without the lock."""
        if retired is not None:
            retired.model.close()
            with self._changed:
                held.state = State.END
                self._changed.notify_all()

    def close(self) -> None:
        """Unloads everything as soon as nobody uses it."""
        for model in self.models():
            self.aspire(model, {})
            self.settle(model)
