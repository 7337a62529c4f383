"""What users expect of every method, asked of this one; and whatever else you want to be sure of."""

import pytest

from crowdbench import load_method
from crowdbench.errors import SettingsError
from crowdbench.testing import MethodContract


class TestMyMethod(MethodContract):
    """The questions of `crowdbench check my-method`, a test each."""

    method = "my-method"
    dataset = "synthcrowd"
    weights = "none"


def test_an_input_that_does_not_halve_evenly_is_refused() -> None:
    with pytest.raises(SettingsError, match="input_size"):
        load_method("my-method", "synthcrowd", input_size="100x100")
