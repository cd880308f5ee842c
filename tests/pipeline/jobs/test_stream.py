"""The streaming job in this process."""

from pathlib import Path

import pytest

from modules.spec import Declaration, DeclarationError, InputError
from pipeline.engines.engine import LOCAL, Engine
from pipeline.jobs.stream import sources_of, stream
from pipeline.live import poll_events
from pipeline.live.place import Place
from tests.pipeline.live.conftest import declaration, here, wanted
from tests.pipeline.live.rides import Rows, declare, merged, payments, rides, write

__all__ = ["declaration", "here", "wanted"]


def test_it_starts_anew_now_and_then_and_goes_on_where_it_was(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_events, "_BUNDLE_S", 0.0)
    monkeypatch.setattr(poll_events, "_RENEW_AFTER", 3)
    events = {"rides": rides(300), "payments": payments(rides(300))}
    urls = {name: write(tmp_path / f"{name}.jsonl", some) for name, some in events.items()}
    counts = stream(declaration, sources_of(declaration, urls), here, f"{tmp_path}/dead", batch_events=20)
    assert (counts.events, counts.merged, counts.duplicates) == (600, 600, 0)
    merged(declaration, events, wanted)
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)


def test_each_source_is_merged_however_far_the_others_are(
    tmp_path: Path, declaration: Declaration, here: Place
) -> None:
    events = {"rides": rides(10), "payments": payments(rides(300))}
    urls = {name: write(tmp_path / f"{name}.jsonl", some) for name, some in events.items()}
    stream(declaration, sources_of(declaration, urls), here, f"{tmp_path}/dead", batch_events=7)
    with here.open() as store:
        found = {register.source: (register.watermark, register.position) for register in store.registers()}
    assert found == {name: (max(event["taken_in"] for event in some) + 1, len(some)) for name, some in events.items()}


def test_workers_share_the_partitions(
    tmp_path: Path, declaration: Declaration, here: Place, wanted: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local runner takes their turns one after the other; what each polls is its own all the same."""
    monkeypatch.setattr(poll_events, "_BUNDLE_S", 0.0)
    events = {"rides": rides(200), "payments": payments(rides(300))}
    urls = {name: write(tmp_path / f"{name}.jsonl", some) for name, some in events.items()}
    three = Engine(LOCAL.beam_args, parallelism=3)
    counts = stream(declaration, sources_of(declaration, urls), here, f"{tmp_path}/dead", 50, engine=three)
    assert (counts.events, counts.duplicates) == (500, 0)
    merged(declaration, events, wanted)
    assert Rows.of(declaration, here, events) == Rows.of(declaration, wanted, events)


def test_positions_in_one_log_are_not_taken_for_those_in_another(
    tmp_path: Path, declaration: Declaration, here: Place
) -> None:
    """Of the second file the first five events would be left out, and with another seed some of the first."""
    one, other = (write(tmp_path / f"{name}.jsonl", rides(number)) for name, number in (("one", 5), ("other", 10)))
    paid = {"payments": write(tmp_path / "payments.jsonl", payments(rides(5)))}

    def run(url: str) -> int:
        return stream(declaration, sources_of(declaration, paid | {"rides": url}), here, f"{tmp_path}/dead").events

    assert run(f"{one}?shuffle=1m&seed=1") == 10
    assert run(f"{one}?shuffle=1m&seed=1&speed=1000000") == 0  # how fast makes no difference
    for url in (other, f"{one}?shuffle=1m&seed=2", one, "kafka://127.0.0.1:1/rides"):
        with pytest.raises(InputError, match=r"rides: the rows in this store are filled from file://.*/one\.jsonl, "
                                             r"shuffle=1m, seed=1, and .* is another log"):  # fmt: skip
            run(url)


def test_a_source_without_a_stream_and_one_that_is_not_declared(declaration: Declaration) -> None:
    with pytest.raises(DeclarationError, match="source payments has no stream"):
        sources_of(declaration, {"rides": "file:///rides"})
    with pytest.raises(DeclarationError, match="no source trips; there is rides, payments"):
        sources_of(declaration, {"trips": "file:///rides"})
    with pytest.raises(InputError, match="no source of events"):
        sources_of(declaration, {"rides": "ftp://rides", "payments": "file:///payments"})


def test_a_declaration_without_live_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="has no live features"):
        sources_of(declare(tmp_path, "live=null"), {})
