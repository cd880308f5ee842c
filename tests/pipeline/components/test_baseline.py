"""Which model a new one is compared with."""

import pytest
from tfx import types
from tfx.components.evaluator.constants import (
    ARTIFACT_PROPERTY_BLESSED_KEY,
    ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY,
)
from tfx.types import standard_artifacts

from pipeline.components.baseline import LastOtherBlessedModel


def model(number: int) -> types.Artifact:
    artifact = standard_artifacts.Model()
    artifact.id = number
    return artifact


def blessing(number: int, blessed: bool) -> types.Artifact:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    artifact.set_int_custom_property(ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, number)
    return artifact


@pytest.mark.parametrize(
    ("blessings", "current", "expected"),
    [
        ([], 3, []),  # the first model
        ([(1, True), (2, True)], 3, [2]),  # the latest
        ([(2, True), (1, True)], 3, [2]),  # whatever the order in which they come
        ([(1, True), (2, False)], 3, [1]),  # a withheld blessing is none
        ([(1, True), (3, True)], 3, [1]),  # never itself, when only its evaluation is run again
        ([(3, True)], 3, []),
        ([(1, True), (2, False), (2, True)], 3, [2]),  # withheld once, and blessed after a threshold was edited
        ([(1, True), (9, True)], 3, [1]),  # a model that was removed since
        ([(1, True), (4, True)], 3, [4]),  # an older model judged again is compared with a newer one
    ],
)
def test_the_last_blessed_model_other_than_itself(
    blessings: list[tuple[int, bool]], current: int, expected: list[int]
) -> None:
    inputs = {
        "baseline_model": [model(number) for number in (4, 2, 1, 3)],
        "model": [model(current)],
        "blessing": [blessing(*each) for each in blessings],
    }
    found = LastOtherBlessedModel().resolve_artifacts(None, inputs)
    assert [artifact.id for artifact in found["baseline_model"]] == expected
