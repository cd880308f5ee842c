"""What the manager does with versions, told by a loader that is a list of what happened."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.serving.model_server.manager import Manager
from pipeline.serving.model_server.servable import Servable
from pipeline.serving.model_server.status import InvalidArgument, NotFound, ServingError


class Model:
    """Does nothing but tell when it is closed."""

    signatures: dict[str, Any] = {}

    def __init__(self, closed: list[int], version: int) -> None:
        self._closed = closed
        self._version = version

    def run(self, feeds: Any, fetches: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self._closed.append(self._version)


class Loader:
    """Loads versions, those in `broken` not."""

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.closed: list[int] = []
        self.broken: set[int] = set()

    def __call__(self, name: str, version: int, path: Path) -> Servable:
        self.loaded.append(version)
        if version in self.broken:
            raise InvalidArgument(f"{version} is broken")
        return Servable(name, version, Model(self.closed, version))


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def manager(loader: Loader) -> Manager:
    return Manager(loader, max_retries=0, retry_interval_s=0)


def aspire(manager: Manager, *versions: int) -> None:
    manager.aspire("m", {version: Path(str(version)) for version in versions})
    manager.settle("m")


def states(manager: Manager) -> dict[int, str]:
    return {each.version: each.state.name for each in manager.statuses("m")}


def latest(manager: Manager) -> int:
    with manager.use("m", None) as servable:
        return servable.version


def test_the_greatest_is_loaded_first_and_is_the_latest(manager: Manager, loader: Loader) -> None:
    aspire(manager, 1, 3, 2)
    assert loader.loaded == [3, 2, 1]
    assert latest(manager) == 3
    assert list(states(manager)) == [3, 2, 1]


def test_the_old_one_goes_once_the_new_one_is_there(manager: Manager, loader: Loader) -> None:
    aspire(manager, 1)
    aspire(manager, 2)
    assert (loader.loaded, loader.closed, latest(manager)) == ([1, 2], [1], 2)
    assert states(manager) == {2: "AVAILABLE", 1: "END"}


def test_the_old_one_stays_when_the_new_one_does_not_load(manager: Manager, loader: Loader) -> None:
    loader.broken = {2}
    aspire(manager, 1)
    aspire(manager, 2)
    aspire(manager, 2)
    assert (loader.loaded, loader.closed, latest(manager)) == ([1, 2], [], 1)
    assert states(manager) == {2: "END", 1: "AVAILABLE"}
    assert str(manager.statuses("m")[0].error) == "INVALID_ARGUMENT: 2 is broken"
    aspire(manager, 3)
    assert (loader.closed, latest(manager)) == ([1], 3)


def test_a_failed_version_is_tried_again_once_it_had_been_away(manager: Manager, loader: Loader) -> None:
    loader.broken = {1}
    aspire(manager, 1)
    loader.broken = set()
    aspire(manager)
    aspire(manager, 1)
    assert (loader.loaded, latest(manager)) == ([1, 1], 1)
    assert manager.statuses("m")[0].error is None


def test_going_back_to_an_older_version(manager: Manager, loader: Loader) -> None:
    aspire(manager, 2)
    aspire(manager, 1)
    assert (loader.closed, latest(manager)) == ([2], 1)
    aspire(manager, 2)
    assert (loader.loaded, loader.closed, latest(manager)) == ([2, 1, 2], [2, 1], 2)


def test_without_aspired_versions_all_go(manager: Manager, loader: Loader) -> None:
    aspire(manager, 1, 2)
    aspire(manager)
    assert loader.closed == [1, 2]
    with pytest.raises(NotFound, match=r"Servable not found for request: Latest\(m\)"):
        latest(manager)


def test_a_version_in_use_stays_until_it_is_not(manager: Manager, loader: Loader) -> None:
    aspire(manager, 1)
    with manager.use("m", None) as old:
        with manager.use("m", 1):
            aspire(manager, 2)
        assert states(manager) == {2: "AVAILABLE", 1: "UNLOADING"}
        assert (old.version, loader.closed, latest(manager)) == (1, [], 2)
        with pytest.raises(NotFound, match=r"Specific\(m, 1\)"), manager.use("m", 1):
            pass
        aspire(manager, 1, 2)  # wanted again, while it goes
        assert states(manager)[1] == "UNLOADING"
    assert (loader.closed, states(manager)[1]) == ([1], "END")
    aspire(manager, 1, 2)
    assert states(manager) == {2: "AVAILABLE", 1: "AVAILABLE"}


def test_retries(loader: Loader) -> None:
    loader.broken = {1}
    manager = Manager(loader, max_retries=2, retry_interval_s=0)
    aspire(manager, 1)
    assert (loader.loaded, states(manager)) == ([1, 1, 1], {1: "END"})
    waiting = Manager(loader, max_retries=2, retry_interval_s=60)
    aspire(waiting, 1)
    aspire(waiting, 1)
    (status,) = waiting.statuses("m")
    assert (status.state.name, str(status.error)) == ("LOADING", "INVALID_ARGUMENT: 1 is broken")
    aspire(waiting)
    assert states(waiting) == {1: "END"}


def test_waiting_ends_when_a_model_cannot_be_loaded(manager: Manager, loader: Loader) -> None:
    loader.broken = {1}
    aspire(manager, 1)
    with pytest.raises(ServingError) as raised:
        manager.wait(["m"], lambda: {"m"}, lambda: True, "servable")
    assert str(raised.value) == (
        "UNKNOWN: 1 servable(s) did not become available: {{{name: m version: 1} due to error: "
        "INVALID_ARGUMENT: 1 is broken}, }"
    )
    manager.wait(["another"], lambda: {"another"}, lambda: False, "servable")


def test_waiting_for_a_model_that_is_dropped_ends(manager: Manager, loader: Loader) -> None:
    manager.aspire("m", {1: Path("1")})
    aspire(manager)
    with pytest.raises(ServingError) as raised:
        manager.wait(["m", "without versions"], lambda: {"another"}, lambda: True, "model")
    assert str(raised.value) == (
        "UNKNOWN: 2 model(s) did not become available: "
        "{{{name: m version: 1} due to error: ABORTED: another configuration has dropped the model}, "
        "{{name: without versions} due to error: ABORTED: another configuration has dropped the model}, }"
    )
    aspire(manager, 2)  # as it was dropped, and is waited for again, what has ended before does not count
    manager.wait(["m"], lambda: {"m"}, lambda: True, "model")
