"""The lines at the end of a run that tell of its live features."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.cli.summary import print_summary
from pipeline.workspace import Workspace
from tests.pipeline.results.test_record import RECORD


def printed(**changes: Any) -> str:
    out = io.StringIO()
    print_summary(Console(file=out), RECORD.model_copy(update=changes), Workspace(Path("build")), [], True)
    return out.getvalue()


def test_what_an_ablation_found_and_which_events_do_not_count() -> None:
    text = printed()
    assert "\nlive    2 features; over 2 seeds AUC +0.0750 (-0.2427 to +0.3927): no difference\n" in text
    assert "\nwarning: not counted: trips, 1 event (late)\n" in text


def test_without_an_ablation_how_to_get_one() -> None:
    text = printed(ablation=(), not_counted=())
    assert "\nlive    2 features; --set evaluation.ablation_seeds=5 shows what they add\n" in text
    assert "warning" not in text


def test_without_live_features() -> None:
    assert "live" not in printed(live_features=0, ablation=(), not_counted=())
