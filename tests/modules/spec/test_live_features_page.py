"""The declarations of docs/live_features.md are accepted; tests/docs runs its commands."""

import re
from pathlib import Path

import pytest

from modules.spec import LiveFeature, Source
from tests.conftest import ROOT
from tests.modules.spec.shop import load

PAGE = (ROOT / "docs" / "live_features.md").read_text()
TAXI = (ROOT / "schema" / "taxi" / "features.yaml").read_text()
SECTION = re.compile(r"^live:\n(?:[ #].*\n|\n)*", re.MULTILINE)


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
def test_a_snippet_is_accepted_in_the_taxi_declaration(tmp_path: Path, block: str) -> None:
    named = re.findall(r"^    (\w+):$", block.partition("  features:\n")[2], re.MULTILINE)
    assert list(load(tmp_path, text=SECTION.sub("", TAXI) + block).live_features) == named


def test_the_page_has_snippets() -> None:
    assert PAGE.count("```yaml") == 2


def test_every_field_of_a_source_and_of_a_feature_is_explained() -> None:
    fields = {*Source.model_fields, *LiveFeature.model_fields}
    assert [field for field in sorted(fields) if not re.search(rf"\b{field}\b", PAGE)] == []
