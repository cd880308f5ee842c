import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.report.categories import categories, shift
from pipeline.report.cumulative import Cumulative, cumulative
from pipeline.report.histograms import bins, histogram


def _statistics(*buckets: tuple[float, float, float]) -> statistics_pb2.NumericStatistics:
    """(low, high, rows) of each bucket of one histogram."""
    histogram = statistics_pb2.Histogram(
        buckets=[
            statistics_pb2.Histogram.Bucket(low_value=low, high_value=high, sample_count=rows)
            for low, high, rows in buckets
        ]
    )
    return statistics_pb2.NumericStatistics(histograms=[histogram])


def _even(low: float, high: float) -> Cumulative:
    return Cumulative(np.array([low, high]), np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1, 0),
        (0, 0),
        (1, 0.25),  # half of the first bucket
        (2, 0.5),
        (3, 0.75),  # a quarter of all rows has the value 3 ...
        (3 - 1e-9, 0.5),  # ... and none is between 2 and 3
        (4, 1),
        (9, 1),
    ],
)
def test_shares_at_or_below(value: float, expected: float) -> None:
    found = cumulative(_statistics((0, 2, 2), (2, 3, 0), (3, 3, 1), (3, 4, 1)), whole=False)
    assert found
    assert found.at_or_below(value) == pytest.approx(expected, abs=1e-6)


def test_whole_numbers_lie_around_themselves() -> None:
    # TFDV's buckets of the days 1 to 4 with one row each: (1, 2.5] holds 1 and 2.
    found = cumulative(_statistics((1, 2.5, 2), (2.5, 4, 2)), whole=True)
    assert found
    assert (found.low, found.high) == (0.5, 4.5)
    days = bins([found, None], whole=True)
    assert days
    assert days.edges == (0.5, 1.5, 2.5, 3.5, 4.5)
    assert days.shares == ((0.25, 0.25, 0.25, 0.25), ())


def test_infinite_buckets_say_nothing() -> None:
    assert cumulative(_statistics((float("-inf"), float("inf"), 9)), whole=False) is None
    assert cumulative(statistics_pb2.NumericStatistics(), whole=False) is None
    assert bins([None, None], whole=False) is None


def test_quantiles() -> None:
    assert _even(0, 10).quantile(0.9) == pytest.approx(9)


def test_splits_share_their_bins_and_every_row_is_in_one() -> None:
    found = bins([_even(0, 12), _even(12, 24)], whole=False)
    assert found
    assert (found.edges[0], found.edges[-1], len(found.edges)) == (0, 24, 25)
    assert found.shares[0] == pytest.approx([1 / 12] * 12 + [0] * 12)
    assert found.shares[1] == pytest.approx([0] * 12 + [1 / 12] * 12)
    assert found.shift == pytest.approx(1)


def test_a_value_at_an_inner_edge_is_counted_once() -> None:
    constant = Cumulative(np.array([12.0, 12.0]), np.array([0.0, 1.0]))
    found = bins([_even(0, 24), constant], whole=False)
    assert found
    assert sum(found.shares[1]) == pytest.approx(1)
    assert found.shares[1][11] == pytest.approx(1)


def test_many_rows_with_the_least_value_are_in_the_first_bin() -> None:
    zeros = Cumulative(np.array([0.0, 0.0, 24.0]), np.array([0.0, 0.76, 1.0]))
    found = bins([zeros, _even(0, 24)], whole=False)
    assert found
    assert found.shares[0] == pytest.approx([0.77] + [0.01] * 23)


def test_equal_splits_do_not_shift() -> None:
    found = bins([_even(0, 1), _even(0, 1)], whole=False)
    assert found
    assert found.shift == 0


def test_one_value_everywhere() -> None:
    constant = cumulative(_statistics((5, 5, 3), (5, 5, 3)), whole=False)
    found = bins([constant, constant], whole=False)
    assert found
    assert max(found.shares[0]) == pytest.approx(1)
    assert histogram("constant", found, dates=False).paths


def test_a_long_tail_is_gathered_at_the_end() -> None:
    tailed = Cumulative(np.array([0.0, 9.0, 1000.0]), np.array([0.0, 0.9, 1.0]))
    found = bins([tailed, _even(0, 10)], whole=False)
    assert found
    assert found.edges[-1] == pytest.approx(9)
    assert found.above == pytest.approx((0.1, 0.1))
    assert found.below == (0, 0)
    drawn = histogram("miles", found, dates=False)
    assert [text.text for text in drawn.texts] == ["more"]
    assert [path.style for path in drawn.paths] == [
        "train area",
        "train area beyond",
        "eval outline",
        "eval outline beyond",
    ]


def test_a_histogram_stays_on_its_page_and_its_texts_apart() -> None:
    tailed = Cumulative(np.array([-5000.0, -1.0, 9.0, 1000.0]), np.array([0.0, 0.1, 0.9, 1.0]))
    found = bins([tailed, None], whole=False)
    assert found
    drawn = histogram("x", found, dates=False)
    places = [mark.at for mark in drawn.x_marks] + [text.x for text in drawn.texts]
    assert all(drawn.left <= place <= drawn.right for place in places)
    assert np.diff(sorted(places)).min() > 25


def test_dates_are_marked_as_dates() -> None:
    found = bins([_even(1357000200e6, 1426445100e6)], whole=True)
    assert found
    assert [mark.text for mark in histogram("time", found, dates=True).x_marks] == ["Mar 2013", "Feb 2014", "Dec 2014"]


def test_categories_come_by_share_of_both_and_the_rest_in_one() -> None:
    train = {f"value {index}": 10.0 - index for index in range(10)}
    rows = categories([train, {"new": 60.0}], [sum(train.values()), 60])
    assert [row.text for row in rows] == ["new", *(f"value {index}" for index in range(6)), "all others"]
    assert rows[0].bars[1].width == 100
    assert rows[0].bars[0].width == 0
    assert rows[-1].bars[0].text.replace("\u00a0", " ") == "18 %"  # (4 + 3 + 2 + 1) / 55


def test_no_values_at_all() -> None:
    assert categories([{}, {}], [0, 0]) == ()
    first, second = categories([{"a": 6.0, "b": 2.0}, {}], [8, 0])
    assert [bar.width for bar in first.bars] == [100, 0]
    assert [bar.width for bar in second.bars] == [pytest.approx(100 / 3), 0]


def test_shift_of_categories() -> None:
    assert shift([{"a": 3.0, "b": 1.0}, {"a": 2.0, "c": 2.0}], [4, 4]) == pytest.approx(0.5)
    assert shift([{"a": 3.0}, {"a": 30.0}], [4, 40]) == 0  # what is not listed is taken for the same
