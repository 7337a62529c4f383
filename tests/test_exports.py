"""The package's face: what is exported, what type checkers see, and what ``__all__`` lists agree."""

import ast
import importlib
from pathlib import Path

import pytest

import crowdbench

FACE = Path(crowdbench.__file__)


def imports_for_type_checkers() -> dict[str, str]:
    """The module of each name that is imported under ``if TYPE_CHECKING``."""
    block = next(node for node in ast.parse(FACE.read_text("utf-8")).body if isinstance(node, ast.If))
    return {
        alias.name: f"{node.module}".removeprefix("crowdbench.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_exports_type_checkers_and_all_agree() -> None:
    assert sorted(crowdbench.__all__) == sorted(crowdbench._HOMES)
    assert imports_for_type_checkers() == crowdbench._HOMES


@pytest.mark.parametrize("name", crowdbench.__all__)
def test_a_name_is_what_its_module_defines_under_that_name(name: str) -> None:
    found = getattr(crowdbench, name)
    home = importlib.import_module(f"crowdbench.{crowdbench._HOMES[name]}")
    assert found is vars(home)[name]
    assert found.__module__ == home.__name__, "exported from where it is defined"


@pytest.mark.parametrize("name", crowdbench.__all__)
def test_no_subpackage_hides_an_exported_name(name: str) -> None:
    """Importing ``crowdbench.x`` sets the attribute ``x`` of the package."""
    assert not (FACE.parent / name).exists()
    assert not (FACE.parent / f"{name}.py").exists()
