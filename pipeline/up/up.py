"""Everything that serves, on one machine: store, streaming job, model server, gateway and a page, over a replay."""

import contextlib
import functools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from filelock import FileLock, Timeout

from modules.spec import BusyError, InputError, NotFoundError, OutputError
from pipeline.results.record import ComponentRecord
from pipeline.serving import versions
from pipeline.stores.store import OnlineStore
from pipeline.stores.urls import drop_namespace, without_password
from pipeline.up.children import Children, answer, free_ports
from pipeline.up.form import Form
from pipeline.up.page import listening, page, served
from pipeline.up.replay import Replay
from pipeline.up.services import bootstrap, services
from pipeline.up.settings import UpSettings
from pipeline.up.status import status
from pipeline.up.stop import Stop

_MARK = "up"
"""Marks a namespace that this command filled, and may drop."""


class Progress(Protocol):
    """Whoever watches the start."""

    def plan(self, components: list[str]) -> None:
        """The steps, in order."""

    def start(self, component: str) -> None:
        """A step starts."""

    def finish(self, component: ComponentRecord) -> None:
        """A step is done."""


def up(settings: UpSettings, progress: Progress, ready: Callable[[str], None]) -> None:
    """Starts everything, and watches it until a signal comes or a process ends; then stops everything.

    Args:
      settings: What.
      progress: Is told of each step.
      ready: Is given the page's URL once it answers.

    Raises:
      Stopped: A signal came.
      NotFoundError: There is no model.
      BusyError: The same is running already on this output.
      InputError: The store was filled by something else, or the page's port cannot be had.
      TwinbeamError: A process has ended, or is not ready in time.
    """
    if not versions.versions(settings.models):
        raise NotFoundError(
            f"{settings.models}: no model has been pushed here. Run `make run` first; for another declaration or "
            "directory, `twinbeam run` with the same --features and --output."
        )
    with Stop() as stop, listening(settings.port) as socket, _held(settings):
        progress.plan(["Replay", "Store", "Model server", "Stream", "Gateway"])
        with _step("Replay", progress) as figure:
            replay = Replay.of(settings.declaration, settings.speed)
            form = Form.of(settings.declaration, replay.start)
            figure.append(str(replay))
        with Children(settings.logs, stop) as children, settings.place.open() as store:
            _clear(settings, store)
            model_server, stream, gateway = services(settings, replay, ports := free_ports(4))
            loading = children.start(model_server.arguments)  # while the store is filled
            with _step("Store", progress) as figure:
                figure.append(_fill(settings, replay, children))
            started = {
                model_server: loading,
                stream: children.start(stream.arguments, may_end=True),
                gateway: children.start(gateway.arguments),
            }
            for service, child in started.items():
                with _step(service.title, progress) as figure:
                    children.wait_until(child, functools.partial(answer, service.probe))
                    addresses = f"{service.address}  gRPC {service.grpc}" if service.grpc else service.address
                    figure.append(f"{addresses}  {child.log}")
            app = page(
                settings.declaration,
                form,
                replay,
                {service: str(child.log) for service, child in started.items()},
                f"http://127.0.0.1:{ports[-1]}",
                lambda: status(replay, store, settings.dead_letters, started[stream]),
            )
            with served(app, socket):
                ready(f"http://127.0.0.1:{socket.getsockname()[1]}")
                children.watch()


@contextlib.contextmanager
def _held(settings: UpSettings) -> Iterator[None]:
    """Makes the directories, the one of rows and dead letters anew, and keeps others of this kind out of them."""
    try:
        settings.logs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(settings.workspace.output / ".up.lock")
        lock.acquire(blocking=False)
        shutil.rmtree(settings.directory, ignore_errors=True)
        settings.dead_letters.mkdir(parents=True)
    except Timeout:
        raise BusyError(
            f"{settings.workspace.output}: another `twinbeam up` is running here. Stop it, or name another --output."
        ) from None
    except OSError as error:
        raise OutputError(
            f"{settings.workspace.output}: cannot be written: {error.strerror}. Name a directory with --output DIR."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _step(name: str, progress: Progress) -> Iterator[list[str]]:
    """Tells of a step, at its end with the figure that was put into the list."""
    progress.start(name)
    began, figure = time.monotonic(), list[str]()
    yield figure
    progress.finish(ComponentRecord(name=name, seconds=time.monotonic() - began, cached=False, figure=figure[0]))


def _clear(settings: UpSettings, store: OnlineStore) -> None:
    """Removes what an earlier start has left in the store, and nothing else."""
    place = settings.place
    if _MARK in store.marks():
        drop_namespace(place.url, place.namespace)
    elif store.registers():
        raise InputError(
            f"{without_password(place.url)}: holds live features of this declaration that `twinbeam up` did not put "
            "there, and it begins with none. Name another --store, or drop them with `twinbeam store drop`."
        )
    store.mark(_MARK, "")


def _fill(settings: UpSettings, replay: Replay, children: Children) -> str:
    """Fills the store with the history; says what it holds."""
    history = children.start(bootstrap(settings, replay), may_end=True)
    children.wait_until(history, lambda: "" if history.ended else "it is merging the history")
    counts = json.loads(history.log.read_text().splitlines()[-1])
    return f"{without_password(settings.place.url)}, {counts['merged']:,} events before {replay.since}"
