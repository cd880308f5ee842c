"""The gateway's policy: its defaults, what it accepts, and that no fingerprint of features knows of it."""

from pathlib import Path

import pytest

from modules.spec import DeclarationError, Serving
from tests.modules.spec.shop import load


def test_defaults(tmp_path: Path) -> None:
    assert load(tmp_path).serving == Serving(stale_after="1h", when_stale="serve", when_down="refuse")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("serving.stale_after=1", "--set: serving.stale_after: read 1; accepted: a duration such as 500ms, 90s"),
        ("serving.stale_after=1w", 'serving.stale_after: read "1w"; accepted: a duration such as'),
        ("serving.when_stale=cache", "serving.when_stale: read \"cache\"; accepted: 'serve', 'defaults' or 'refuse'"),
        ("serving.when_down=serve", "serving.when_down: read \"serve\"; accepted: 'refuse' or 'defaults'"),
        ("serving.retry=1", "serving.retry: unknown field; accepted: stale_after, when_stale, when_down"),
    ],
)
def test_what_is_not_accepted(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path, override)
    assert message in str(caught.value)


def test_it_changes_no_rows(tmp_path: Path) -> None:
    before, after = load(tmp_path), load(tmp_path, "serving.when_down=defaults")
    assert before.features_fingerprint == after.features_fingerprint
    assert before.fingerprint != after.fingerprint
