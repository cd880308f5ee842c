"""Processes of the command that end, that never get ready, and that are stopped."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.spec import TwinbeamError
from pipeline.up import children as module
from pipeline.up.children import Children, answer, free_ports
from pipeline.up.stop import Stop, Stopped
from tests.pipeline.up.city import City


@pytest.fixture
def stop() -> Iterator[Stop]:
    with Stop() as entered:
        yield entered


def test_a_process_that_fails_is_named_with_the_end_of_its_log_and_its_exit_code(tmp_path: Path, stop: Stop) -> None:
    with Children(tmp_path, stop) as children:
        child = children.start(["validate", "--features", "/nowhere/features.yaml"], may_end=True)
        with pytest.raises(TwinbeamError) as error:
            children.wait_until(child, lambda: "it is never ready")
    assert str(error.value).startswith(
        f"validate ended with exit code 3. The end of {tmp_path}/validate.log:\n  error:"
    )
    assert "/nowhere/features.yaml" in str(error.value)
    assert error.value.exit_code == 3


def test_wrong_options_of_ours_are_no_mistake_of_the_user(tmp_path: Path, stop: Stop) -> None:
    with Children(tmp_path, stop) as children:
        children.start(["validate", "--nothing"])
        with pytest.raises(TwinbeamError, match="with exit code 2") as error:
            children.watch()
    assert error.value.exit_code == 1


def test_an_end_without_an_error_is_one_unless_it_may_end(city: City, tmp_path: Path, stop: Stop) -> None:
    arguments = ["validate", "--features", str(city.features)]
    with Children(tmp_path, stop) as children:
        child = children.start(arguments, may_end=True)
        children.wait_until(child, lambda: "" if child.ended else "it runs")
        assert child.log.read_text().startswith(f"{city.features}: valid")
        children.start(arguments)
        with pytest.raises(TwinbeamError, match="validate ended with exit code 0"):
            children.watch()


def test_a_log_is_begun_anew(city: City, tmp_path: Path, stop: Stop) -> None:
    (tmp_path / "validate.log").write_text("of the last time\n")
    with Children(tmp_path, stop) as children:
        child = children.start(["validate", "--features", str(city.features)], may_end=True)
        children.wait_until(child, lambda: "" if child.ended else "it runs")
    assert "of the last time" not in child.log.read_text()


def test_a_process_that_does_not_get_ready_is_given_up(
    tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READY_S", 0.0)
    with Children(tmp_path, stop) as children:
        child = children.start(["model-server", "--port=0"])
        with pytest.raises(TwinbeamError) as error:
            children.wait_until(child, lambda: "nothing answers")
    expected = f"model-server is not ready after 0 s: nothing answers. The end of {tmp_path}/model-server.log:\n"
    assert str(error.value).startswith(expected)
    assert child.ended


def test_one_that_hears_nothing_is_killed(
    city: City, tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DRAIN_S", 0.1)
    with Children(tmp_path, stop) as children:
        child = children.start(["validate", "--features", str(city.features)])
        os.kill(child.process.pid, signal.SIGSTOP)  # SIGTERM waits until it goes on
        while ") T " not in Path(f"/proc/{child.process.pid}/stat").read_text():
            time.sleep(0.01)
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop() as stop, Children(tmp_path, stop) as children:
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
        with pytest.raises(Stopped) as stopped:
            children.watch()
    assert stopped.value.number == number
    assert signal.getsignal(number) == before


def test_a_second_signal_is_not_caught(stop: Stop) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with pytest.raises(Stopped):
        stop.wait(0)
    with pytest.raises(Stopped):
        stop.wait(0)


def test_ctrl_c_on_the_terminal_reaches_only_the_parent(city: City, tmp_path: Path, stop: Stop) -> None:
    with Children(tmp_path, stop) as children:
        child = children.start(["validate", "--features", str(city.features)], may_end=True)
        assert os.getpgid(child.process.pid) == child.process.pid != os.getpgid(0)


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(4)
    assert len(set(ports)) == 4
    assert answer(f"http://127.0.0.1:{ports[0]}").startswith(f"http://127.0.0.1:{ports[0]}: ")
