"""The rules that keep the house in order: where files are, how long they may be, and where their tests are."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "crowdbench"
LONGEST = 350
MOST_FILES = 15

# One file a command, next to what commands share.
MANY_FILES = {"cli"}

# Templates become plugins, which have names of their own.
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "templates" not in path.parts]
FOLDERS = sorted({path.parent for path in FILES})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_package_holds_only_packages_and_four_modules() -> None:
    modules = {path.name for path in PACKAGE.glob("*.py")}
    assert modules == {"__init__.py", "__main__.py", "errors.py", "plugins.py"}


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_package_says_what_it_is_and_is_not_crowded(folder: Path) -> None:
    face = folder / "__init__.py"
    assert ast.get_docstring(ast.parse(face.read_text("utf-8"))), f"{face} has no docstring"
    if folder.name not in MANY_FILES:
        assert len(list(folder.glob("*.py"))) <= MOST_FILES


def test_files_are_short() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    for part in ("methods", "datasets", "slurm"):
        for path in (ROOT / part).rglob("*.py"):
            lines[name_of(path)] = len(path.read_text("utf-8").splitlines())
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_a_public_class_has_a_name_of_its_own() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name_of(path))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_modules_have_their_tests_where_one_looks_for_them() -> None:
    """Every test file in tests/crowdbench mirrors a package; files of one module are named after it."""
    folders = {path.relative_to(ROOT) for path in FOLDERS}
    tests = list((ROOT / "tests" / "crowdbench").rglob("test_*.py"))
    assert tests
    astray = [name_of(path) for path in tests if path.parent.relative_to(ROOT / "tests") not in folders]
    assert astray == []


def test_no_module_is_named_like_a_class_or_function_that_its_package_exports() -> None:
    """Importing the module would replace what the package's face gives under that name."""
    for folder in FOLDERS:
        text = (folder / "__init__.py").read_text("utf-8")
        if "__getattr__" not in text:
            continue
        exported = {
            element.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
            for element in getattr(node.value, "elts", [])
        }
        assert not exported & {path.stem for path in folder.glob("*.py")}, folder
