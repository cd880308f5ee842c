import html
import html.parser
import re

import pytest

from modules.kernel.explain import Counted
from modules.paired import Pair
from pipeline.parity.check import Check, Difference
from pipeline.report.report import write_report
from tests.pipeline.report.small_run import HOSTILE, SmallRun, make_run

LOOK = {"step": 100, "loss": 0.4, "auc": 0.8, "val_loss": 0.5, "val_auc": 0.7}
TRIAL = {"trial_id": 0, "score": 0.5, "learning_rate": 0.01}
PAIRS = [
    Pair(1, {"auc": 0.8, "log_loss": 0.5}, {"auc": 0.7, "log_loss": 0.5}),
    Pair(2, {"auc": 0.82, "log_loss": 0.5}, {"auc": 0.72, "log_loss": 0.5}),
]
PASSED = Check("scores", True, 1200, 0, "1,200 values of 200 rows compared, none differs.")
FAILED = Check(
    "live features",
    False,
    3200,
    1234,
    f"3,200 answers compared, 1,234 differ: {HOSTILE} (1,234).",
    (
        Difference(
            HOSTILE,
            {"company": HOSTILE},
            1_400_000_000_000_000,
            "100.0",
            "99.99999999999999",
            "4059000000000000",
            "4058ffffffffffff",
            Counted(3, 2, 0, 60_000_000),
            Counted(None, 1, 0, 0),
            "twinbeam explain spent 'company=a b' 2014-05-13T16:53:20Z",
        ),
        Difference("other", {"row_id": "7"}, None, "1", "2", "0000000000000001", "0000000000000002"),
    ),
)

_VOID = {"meta", "link", "br", "img", "hr", "input"}


class _Outline(html.parser.HTMLParser):
    """Elements, their attributes and the page's words; refuses tags that do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def close(self) -> None:
        super().close()
        assert self._open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def _outline(page: str) -> _Outline:
    outline = _Outline()
    outline.feed(page)
    outline.close()
    return outline


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A first run: one look, no Tuner, no baseline, nothing reused."""
    return make_run(tmp_path_factory.mktemp("run"), [LOOK])


@pytest.fixture(scope="module")
def page(first: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a first run."""
    run = first
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(run.record, run.declaration, run.outputs, path)
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def withheld(first: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the same run, had the gate found something."""
    record = first.record.model_copy(update={"version": None, "parity": (PASSED, FAILED)})
    path = tmp_path_factory.mktemp("page") / "report-withheld.html"
    write_report(record, first.declaration, first.outputs, path, ["--set", "data=two words"])
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def second_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a later run: with trials, a baseline and an ablation, everything reused, and an anomaly all the same."""
    run = make_run(
        tmp_path_factory.mktemp("run"), [LOOK] * 2, True, [TRIAL], cached=True, anomaly=f"bad {HOSTILE}", pairs=PAIRS
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(run.record, run.declaration, run.outputs, path)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("which", ["page", "second_page", "withheld"])
def test_nothing_is_loaded_and_nothing_runs(which: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(which)
    outline = _outline(text)
    tags = {tag for tag, _ in outline.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "base", "form"}
    for tag, attributes in outline.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "data", "poster", "action", "background", "xlink:href")
            if name == "href":
                assert value
                assert value.startswith("#")
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?:", text)
    assert len(text.encode()) < 500_000


@pytest.mark.parametrize("which", ["page", "second_page", "withheld"])
def test_text_from_the_data_is_only_ever_text(which: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(which)
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    outline = _outline(text)
    assert outline.text.count(HOSTILE) > 5  # the column, its value, the slice, the path, the figures


@pytest.mark.parametrize("which", ["page", "second_page", "withheld"])
def test_every_link_leads_somewhere_and_every_id_is_there_once(which: str, request: pytest.FixtureRequest) -> None:
    elements = _outline(request.getfixturevalue(which)).elements
    ids = [str(attributes["id"]) for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(attributes["href"])[1:] for tag, attributes in elements if tag == "a"}
    labels = {name for _, attributes in elements for name in str(attributes.get("aria-labelledby", "")).split()}
    assert links
    assert labels
    assert links | labels <= set(ids)


@pytest.mark.parametrize("which", ["page", "second_page", "withheld"])
def test_every_picture_has_words(which: str, request: pytest.FixtureRequest) -> None:
    for tag, attributes in _outline(request.getfixturevalue(which)).elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-labelledby")


def test_a_withheld_run_shows_where_the_sides_differ(withheld: str) -> None:
    text = _outline(withheld).text
    assert "tiny not pushed" in text
    assert "Withheld by the gate" in text
    assert "Blessed" not in text
    assert "version 7" not in text
    assert withheld.count("3,200 answers compared, 1,234 differ") == 2  # at the top, and in the table
    assert "They do not agree, so the model was not pushed" in text
    assert "The first 2 of 1,234." in text
    assert "405<mark>9000000000000</mark></td>" in withheld
    assert "405<mark>8ffffffffffff</mark></td>" in withheld
    assert "99.99999999999999" in text
    assert "2014-05-13T16:53:20Z" in text
    assert "3 events in 2 cells from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z" in text
    assert "events in 1 cell from" in text
    assert "twinbeam explain spent 'company=a b' 2014-05-13T16:53:20Z --set 'data=two words'" in text
    assert text.count("twinbeam explain") == 1


def test_no_number_is_raw(page: str) -> None:
    assert not re.search(r"\bnan\b|\binf\b|None|NaN", page)


def test_a_first_run(page: str) -> None:
    text = _outline(page).text
    assert "tiny version 7" in text
    assert "Blessed and pushed" in text
    assert "2 January 2026, 03:04 UTC" in text
    assert "No anomalies." in text
    assert "There is no earlier blessed model" in text
    assert "live" not in text.lower()
    assert "no worse than baseline by 0.9 (there is none)" in text
    assert "Trials" not in text
    assert "kept, step 100" in text
    assert "not in the schema" in text  # clicked, which the curated schema lacks
    for value in ("c" * 64, "d" * 64, "e" * 64, "apache-beam", "pyarrow"):
        assert value in text


def test_a_feature_without_values_in_a_split(page: str) -> None:
    card = page[page.index("<bdi>amount</bdi>") :]
    card = card[: card.index("</article>")]
    assert "train area" in card
    assert "eval outline" not in card
    assert card.count("no values") == 5  # mean, std dev, min, median, max
    assert "100\u00a0%" in card
    assert "shift" not in card


def test_the_auc_of_a_slice_of_one_class_is_undefined(page: str) -> None:
    slices = page[page.index('id="slices"') :]
    rows = {row.partition("</bdi>")[0]: row for row in slices.split("<bdi>")[2:]}
    one_row, both_classes = rows[html.escape(HOSTILE).replace("&#x27;", "&#39;")], rows["\u8336"]
    assert "undefined" in one_row
    assert "undefined" not in both_classes.partition("</tr>")[0]


def test_a_later_run(second_page: str) -> None:
    text = _outline(second_page).text
    assert "6 of 6 components reused" in text
    assert "beside the baseline" in text
    assert "baseline 0.5000" in text  # all scores are equal
    assert "Trials" in text
    assert "learning rate" in text
    assert f"bad {HOSTILE}" in text
    assert "AUC is better with them, Log loss shows no difference" in text
    assert "AUC 0.8100 0.7100 +0.1000 +0.1000 to +0.1000 better" in text
    assert f"computed from 9 events of {HOSTILE}" in text
    assert f"Not all of them count: {HOSTILE}, 1 event (late)" in text
    assert "No anomalies" not in text
