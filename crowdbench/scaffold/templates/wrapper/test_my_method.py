"""Run the contract that every method must meet. Add your own tests here."""

import pytest

from crowdbench import load_method
from crowdbench.errors import SettingsError
from crowdbench.testing import MethodContract


class TestMyMethod(MethodContract):
    """The checks of `crowdbench check my-method`, one test each."""

    method = "my-method"
    dataset = "synthcrowd"
    weights = "none"


def test_an_input_that_is_too_small_is_refused() -> None:
    with pytest.raises(SettingsError, match="input_size"):
        load_method("my-method", "synthcrowd", input_size="1x1")
