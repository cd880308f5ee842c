"""Check 1 in a store of each kind, of which the declaration names one."""

from pathlib import Path

import pytest

from modules.spec import DeclarationError, StoreUnavailable
from pipeline.parity.private_store import private_store
from pipeline.stores.urls import list_namespaces
from tests.artifacts import taxi
from tests.pipeline.parity.conftest import ROWS, Streams


def test_the_stream_goes_through_the_store_and_leaves_nothing(streamed: Streams, url: str, tmp_path: Path) -> None:
    declaration = taxi(f"gate.store={url}")
    with private_store(declaration, tmp_path) as store:
        assert store.url == url
        check = streamed(place=store.place(declaration))
        assert len(list_namespaces(url)) == 1
    assert check.passed, check.sentence
    assert check.compared > 2 * 8 * ROWS
    assert list_namespaces(url) == []


def test_a_store_that_is_away(tmp_path: Path) -> None:
    declaration = taxi("gate.store=redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable, match=r"redis://127\.0\.0\.1:1"), private_store(declaration, tmp_path):
        pass


@pytest.mark.parametrize("url", ["redis://:secret@127.0.0.1:1/0", "live.db"])
def test_what_a_declaration_may_not_name(url: str) -> None:
    with pytest.raises(DeclarationError, match=r"gate.store: read .*; accepted: ") as refused:
        taxi(f"gate.store={url}")
    assert "secret" not in str(refused.value)
