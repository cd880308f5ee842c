import subprocess
import sys
from pathlib import Path

import pytest

from modules.spec import InputError
from pipeline.stores.redis import Address, RedisStore
from pipeline.stores.urls import list_namespaces, open_store, without_password
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host"),
        ("redis://:secret@host:6379/0", "redis://host:6379/0"),
        ("rediss://user:sec@:/#?ret@[::1]:6379/0", "rediss://[::1]:6379/0"),
        ("redis://host:6379/0?password=secret", "redis://host:6379/0"),
        ("redis://:secret", "redis://"),
        ("redis://:secret:host:6379/0", "redis://"),
        ("redis://[secret", "redis://"),
        (":secret@host", "host"),
        ("user:secret@host:1/0", "host:1/0"),
        ("postgres://user:secret@host:5432/live", "postgres://host:5432/live"),
        ("bigtable://project/instance/table", "bigtable://project/instance/table"),
        ("sqlite:///home/me@work:a?b/#live.db", "sqlite:///home/me@work:a?b/#live.db"),
        ("", ""),
    ],
)
def test_a_url_for_messages_holds_no_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", Address("host", 6379, 0, None, None, tls=False)),
        ("redis://host/", Address("host", 6379, 0, None, None, tls=False)),
        (
            "redis://:secret@redis-1.example.com:7000/3",
            Address("redis-1.example.com", 7000, 3, None, "secret", tls=False),
        ),
        ("rediss://me:s%40%3A%2Fé@[::1]:7000", Address("::1", 7000, 0, "me", "s@:/é", tls=True)),
        ("redis://:a@b:c/d@127.0.0.1", Address("127.0.0.1", 6379, 0, None, "a@b:c/d", tls=False)),
    ],
)
def test_where_a_redis_url_points(url: str, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(RedisStore, "__init__", lambda _, address, namespace: opened.append((address, namespace)))
    open_store(url, "n")
    assert opened == [(address, "n")]
    assert "secret" not in repr(address)
    assert without_password(address.url) == address.url


def test_an_address_for_messages() -> None:
    assert Address("::1", 7000, 2, "me", "secret", tls=True).url == "rediss://[::1]:7000/2"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "live.db",
        "sqlite:live.db",
        "sqlite://",
        "sqlite:///var/",
        "SQLITE://live.db",
        "redis://",
        "redis://secret@host",
        "redis://:secret@",
        "redis://:secret@host:port/0",
        "redis://:secret@host:65536/0",
        "redis://:secret@host/zero",
        "redis://:secret@host/0?db=1",
        "redis://:secret@a..b/0",
        "bigtable://project/instance",
        "bigtable://project/instance/table/more",
        "bigtable://project//table",
        "postgres://me:secret@host/live",
        "redis://:secret",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    for call in (lambda: open_store(url, "n"), lambda: list_namespaces(url)):
        with pytest.raises(
            InputError, match=r"names no online store\. Accepted: sqlite://PATH .* redis://.* and bigtable:"
        ) as info:
            call()
        assert repr(without_password(url)) in str(info.value)
        assert "secret" not in str(info.value)


def test_sqlite_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite://live.db", "n") as store:
        monkeypatch.chdir("/")  # the path was meant from where the store was opened
        store.mark("a", "b")
    assert list_namespaces(f"sqlite://{tmp_path}/live.db") == ["n"]


@pytest.mark.parametrize(
    ("url", "absent"),
    [
        ("sqlite://live.db", ("redis", "google.cloud.bigtable", "grpc", "numpy")),
        ("redis://127.0.0.1:1/0", ("google.cloud.bigtable", "grpc", "numpy")),
    ],
)
def test_a_store_imports_only_its_own_client(url: str, absent: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.stores.urls import open_store; open_store(sys.argv[1], 'n'); "
        "print(*(name for name in sys.argv[2:] if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url, *absent],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"
