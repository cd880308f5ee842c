"""The ablation's metrics, and its trainings on the transformed examples of a real run."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from modules.ablation import ablate, auc, log_loss, without_live
from modules.spec import SPLITS, DeclarationError
from modules.spec.training import Training
from pipeline.components.ablation import PAIRS_FILE, read_pairs
from tests.artifacts import artifact, taxi


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ([2, 3], [0, 1], 1.0),
        ([0, 1], [2, 3], 0.0),
        ([1], [1], 0.5),  # an equal score counts half
        ([1, 1], [0, 1, 1, 2], (1 + 0.5 + 0.5 + 0) / 4),
        ([0, 5], [5, 0, 0], ((0 + 0.5 + 0.5) + (0.5 + 1 + 1)) / 6),
    ],
)
def test_auc_by_hand(positive: list[float], negative: list[float], expected: float) -> None:
    labels = np.array([True] * len(positive) + [False] * len(negative))
    assert auc(labels, np.array(positive + negative, float)) == expected


def test_auc_counts_pairs() -> None:
    random = np.random.default_rng(7)
    scores, labels = random.integers(0, 20, 300).astype(float), random.random(300) < 0.3
    wins = sum((a > b) + (a == b) / 2 for a, b in itertools.product(scores[labels], scores[~labels]))
    assert auc(labels, scores) == wins / (labels.sum() * (~labels).sum())


def test_log_loss() -> None:
    labels, logits = np.array([True, False, True]), np.array([0.0, 1.0, -2.0])
    expected = (math.log(2) + math.log(1 + math.e) + math.log(1 + math.exp(2))) / 3
    assert log_loss(labels, logits) == pytest.approx(expected, rel=1e-15)
    assert log_loss(np.array([False, True]), np.array([800.0, -700.0])) == 750  # no probability is 1


def test_without_live_features_the_rest_is_as_it_was() -> None:
    declared = taxi()
    assert set(declared.features) > set(declared.columns) & set(declared.features)  # what a copy would keep
    bare = without_live(declared)
    assert list(bare.features) == [name for name in declared.features if name not in declared.live_features]
    rest: dict[str, Any] = {"live": True, "evaluation": {"ablation_seeds"}}
    assert bare.model_dump(exclude=rest) == declared.model_dump(exclude=rest)


def small(**changes: float) -> Training:
    return taxi().training.model_copy(update={"steps": 40, "validate_every": 20, **changes})


def files(taxi_run: Path) -> dict[str, list[str]]:
    examples = artifact(taxi_run, "Transform", "transformed_examples")
    return {split: [str(examples / f"Split-{split}" / "*")] for split in SPLITS}


@pytest.mark.slow
def test_the_same_twice_and_each_seed_by_itself(taxi_run: Path) -> None:
    found = ablate(taxi(), small(), files(taxi_run), 2)
    assert [pair.seed for pair in found] == [1, 2]
    values = [value for pair in found for side in (pair.with_it, pair.without_it) for value in side.values()]
    assert len(set(values)) == 8  # no side, seed or metric is another's
    # A seed's trainings do not know of the seed before them.
    assert ablate(taxi(), small(seed=2), files(taxi_run), 1) == found[1:]


def test_a_training_that_diverges(taxi_run: Path) -> None:
    with pytest.raises(DeclarationError, match=r"learning_rate: with 1e\+30 and seed 1 the training diverged"):
        ablate(taxi(), small(learning_rate=1e30), files(taxi_run), 2)


def test_the_first_model_with_live_features_is_the_pushed_one(taxi_run: Path) -> None:
    first, *others = read_pairs(str(artifact(taxi_run, "Ablation", "ablation")))
    assert [pair.seed for pair in (first, *others)] == [1, 2, 3, 4, 5]
    scored = pq.read_table(artifact(taxi_run, "Evaluator", "evaluation") / "scores")
    positive, scores = scored[taxi().label.name].to_numpy() == 1, scored["score"].to_numpy().astype(np.float64)
    assert first.with_it["auc"] == pytest.approx(auc(positive, scores), abs=1e-6)
    assert first.with_it["log_loss"] == pytest.approx(log_loss(positive, np.log(scores / (1 - scores))), abs=1e-6)
    assert (artifact(taxi_run, "Ablation", "ablation") / PAIRS_FILE).exists()
