"""Greatest values of ranges against Python's max."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modules.kernel.extremum import range_max

EMPTY = -(2**63)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.data())
def test_the_greatest_of_each_range(values: list[int], data: st.DataObject) -> None:
    at = st.integers(0, len(values))
    ranges = [*data.draw(st.lists(st.tuples(at, at), max_size=10)), (0, len(values))]
    starts, stops = (np.array(edge, np.int64) for edge in zip(*ranges, strict=True))
    found = range_max(np.array(values, np.int64), starts, stops, EMPTY)
    assert found.tolist() == [max(values[start:stop], default=EMPTY) for start, stop in ranges]
