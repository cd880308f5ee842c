"""The gate's section: its default, what it accepts, and that no fingerprint of features knows of it."""

from pathlib import Path

import pytest

from modules.spec import DeclarationError, Gate
from modules.spec.gate import Budget
from tests.modules.spec.shop import load


def test_the_default_and_what_may_be_said(tmp_path: Path) -> None:
    assert load(tmp_path).gate == Gate(rows=2000)
    assert load(tmp_path, "gate.rows=1").gate.rows == 1
    assert load(tmp_path, "gate.rows=all").gate.rows == "all"
    assert load(tmp_path, "gate.budget.load_s=20").gate.budget == Budget(load_s=20.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gate.rows=0", "--set: gate.rows: read 0; accepted:"),
        ("gate.rows=some", 'gate.rows: read "some"; accepted:'),
        ("gate.rows=1.5", "gate.rows: read 1.5; accepted:"),
        ("gate.row=5", "gate.row: unknown field; accepted: rows, store, budget"),
        ("gate.budget.memory_mb=0", "gate.budget.memory_mb: read 0; accepted:"),
        ("gate.budget.answer_p99_ms=soon", 'gate.budget.answer_p99_ms: read "soon"; accepted:'),
        ("gate.budget.size=5", "gate.budget.size: unknown field; accepted: load_s, answer_p99_ms, size_mb, memory_mb"),
    ],
)
def test_what_is_not_accepted(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, override)
    assert message in str(caught.value)


def test_it_changes_no_rows(tmp_path: Path) -> None:
    before, after = load(tmp_path), load(tmp_path, "gate.rows=all")
    assert before.features_fingerprint == after.features_fingerprint
    assert before.fingerprint != after.fingerprint
