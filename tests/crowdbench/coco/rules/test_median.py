import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowdbench.coco.rules.median import median


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_the_median_is_numpys(values: list[float]) -> None:
    assert median(np.array(values)) == np.median(values)


@pytest.mark.parametrize("values", [[np.nan], [1.0, np.nan, 2.0]])
def test_of_what_is_no_number_there_is_none(values: list[float]) -> None:
    assert np.isnan(median(np.array(values)))


def test_infinity_is_a_number() -> None:
    assert median(np.array([1.0, np.inf, np.inf])) == np.inf
