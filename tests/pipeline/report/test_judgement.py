import math

import pytest

from modules.spec import Declaration
from modules.spec.evaluation import Evaluation
from pipeline.report.judgement import judgements
from pipeline.report.scores import Classes
from pipeline.report.slices import slice_tables
from tests.artifacts import taxi

METRICS = {"auc": 0.9, "precision": 0.5, "recall": 1.0, "accuracy": 0.8, "log_loss": 0.25, "calibration": 1.0}


def _with(**thresholds: dict[str, float]) -> Declaration:
    evaluation = Evaluation.model_validate({"slices": ("company",), "thresholds": thresholds})
    return taxi().model_copy(update={"evaluation": evaluation})


@pytest.mark.parametrize(
    ("threshold", "baseline", "met"),
    [
        ({"at_least": 0.9}, None, True),  # the bound itself is met
        ({"at_least": 0.91}, None, False),
        ({"at_most": 0.89}, None, False),
        ({"may_worsen_by": 0.01}, None, True),  # nothing to be worse than
        ({"may_worsen_by": 0.01}, 0.905, True),
        ({"may_worsen_by": 0.01}, 0.92, False),
        ({"at_least": 0.5, "may_worsen_by": 0.01}, 0.92, False),  # both hold
    ],
)
def test_a_metric_that_is_better_higher(threshold: dict[str, float], baseline: float | None, met: bool) -> None:
    [row, *_] = judgements(METRICS, {} if baseline is None else METRICS | {"auc": baseline}, _with(auc=threshold))
    assert (row.name, row.met) == ("AUC", met)


@pytest.mark.parametrize(("baseline", "met"), [(0.24, True), (0.22, False), (0.9, True)])
def test_log_loss_is_better_lower(baseline: float, met: bool) -> None:
    [row, *_] = judgements(METRICS, METRICS | {"log_loss": baseline}, _with(log_loss={"may_worsen_by": 0.02}))
    assert row.met == met


def test_rows_and_their_words() -> None:
    rows = judgements(METRICS, METRICS | {"auc": 0.88}, _with(auc={"at_least": 0.8, "may_worsen_by": 0.01}))
    assert [row.name for row in rows][:2] == ["AUC", "Precision"]
    assert (rows[0].value, rows[0].baseline, rows[0].change) == ("0.9000", "0.8800", "+0.0200")
    assert rows[0].asked == "at least 0.8, no worse than baseline by 0.01"
    assert [row.met for row in rows[1:]] == [None] * 5
    gauge = rows[0].gauge
    assert gauge
    assert (gauge.value, gauge.baseline) == pytest.approx((90, 88))
    assert gauge.allowed == pytest.approx((87, 13))  # from 0.88 - 0.01, which is more than 0.8, to 1


def test_an_undefined_metric_is_never_met() -> None:
    [row, *_] = judgements(METRICS | {"auc": math.nan}, {}, _with(auc={"at_least": 0.0}))
    assert (row.value, row.met, row.gauge) == ("undefined", False, None)


def test_an_infinite_metric_is_said() -> None:
    [row, *_] = judgements(METRICS | {"calibration": math.inf}, METRICS, _with(calibration={"at_least": 0.1}))
    assert (row.value, row.change, row.met, row.gauge) == ("inf", "+inf", False, None)


def test_a_baseline_that_is_undefined_is_not_compared() -> None:
    declaration = _with(precision={"may_worsen_by": 0.1})
    [row, *_] = judgements(METRICS, METRICS | {"precision": math.nan}, declaration)
    assert (row.asked, row.met) == ("no worse than baseline by 0.1 (it is undefined)", True)
    [row, *_] = judgements(METRICS | {"precision": math.nan}, METRICS, declaration)
    assert (row.asked, row.met) == ("no worse than baseline by 0.1", False)


def _slices(values: dict[str, dict[str, float]]) -> dict[tuple[tuple[str, str], ...], dict[str, float]]:
    whole = {"example_count": 100.0, **METRICS}
    return {(): whole} | {(("company", value),): whole | changed for value, changed in values.items()}


def test_slices_of_one_class_have_no_auc() -> None:
    found = _slices({"A": {"example_count": 60}, "B": {"example_count": 40, "auc": 0.0, "recall": math.nan}})
    classes = {("company", "A"): Classes(30, 60), ("company", "B"): Classes(0, 40)}
    [table] = slice_tables(found, classes, _with(auc={"at_least": 0}, recall={"at_least": 0}))
    assert (table.column, table.metrics, table.left_out) == ("company", ("AUC", "Recall"), 0)
    first, second = table.slices
    assert [(cell.text, cell.width) for cell in first.cells] == [("0.900", 100), ("1.000", 100)]
    assert [(cell.text, cell.width) for cell in second.cells] == [("undefined", None), ("undefined", None)]
    assert (first.rows, second.rows) == ("60", "40")
    assert (first.width, second.width) == pytest.approx((100, 200 / 3))


def test_few_rows_are_marked_and_numbers_come_in_order() -> None:
    found = _slices({str(value): {"example_count": float(value)} for value in (30, 4, 29, 100)})
    [table] = slice_tables(found, {}, _with(auc={"at_least": 0}))
    assert [(row.value, row.few) for row in table.slices] == [("4", True), ("29", True), ("30", False), ("100", False)]


def test_only_the_largest_slices_are_shown() -> None:
    found = _slices({f"c{value:02}": {"example_count": float(value)} for value in range(1, 31)})
    [table] = slice_tables(found, {}, _with(auc={"at_least": 0}))
    assert len(table.slices) == 24
    assert (table.slices[0].value, table.left_out, table.left_out_rows) == ("c30", 6, "21")


def test_a_column_without_slices_has_no_table() -> None:
    assert slice_tables(_slices({}), {}, _with(auc={"at_least": 0})) == ()
