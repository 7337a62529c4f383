"""Whose code is in the digest, and what the digest does not depend on."""

import importlib
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from crowdbench.system.source_code.digest import code_of, combined, imports_in, packages_of

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "cache"))


class Project:
    """A project on the path: ``src/<name>/`` with a method, and what lies beside it."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.source = root / "src"
        self.package = self.source / name
        self.package.mkdir(parents=True)
        (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n')
        (root / "tests").mkdir()
        self.write(f"{name}/__init__.py", "")
        self.write(f"{name}/method.py", f"import {name}_more\nfrom . import heads\nclass M:\n    pass\n")
        self.write(f"{name}/heads.py", "SCALE = 1\n")
        self.write(f"{name}/table.toml", "a = 1\n")
        self.write(f"{name}_more.py", "OFFSET = 0\n")

    def write(self, name: str, text: str) -> None:
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def digest(self) -> str:
        """As a process sees it that has just begun."""
        for name in [name for name in sys.modules if name.startswith(self.name)]:
            del sys.modules[name]
        importlib.invalidate_caches()
        sys.path.insert(0, str(self.source))
        try:
            return combined(code_of([importlib.import_module(f"{self.name}.method").M]))
        finally:
            sys.path.remove(str(self.source))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "checkout", f"pose{next(_numbers)}")


def _link_a_package(project: Project) -> None:
    elsewhere = project.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "__init__.py").write_text("X = 1\n")
    (project.package / "linked").symlink_to(elsewhere)


CHANGES: dict[str, Callable[[Project], object]] = {
    "the method's module": lambda p: p.write(
        f"{p.name}/method.py", f"import {p.name}_more\nclass M:\n  x = 1\n"
    ),
    "a module of its package": lambda p: p.write(f"{p.name}/heads.py", "SCALE = 2\n"),
    "a data file": lambda p: p.write(f"{p.name}/table.toml", "a = 2\n"),
    "a new data file": lambda p: p.write(f"{p.name}/weights/new.bin", "1"),
    "a module beside the package": lambda p: p.write(f"{p.name}_more.py", "OFFSET = 1\n"),
    "what that one imports": lambda p: (
        p.write(f"{p.name}_deep/__init__.py", ""),
        p.write(f"{p.name}_more.py", f"def f():\n    from {p.name}_deep import x\n"),
    ),
    "a package that is linked in": _link_a_package,
    "a file that is gone": lambda p: (p.package / "table.toml").unlink(),
    "a file's name": lambda p: (p.package / "table.toml").rename(p.package / "other.toml"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_code_changes_the_digest(project: Project, change: str) -> None:
    before = project.digest()
    CHANGES[change](project)
    assert project.digest() != before


def _a_run(project: Project) -> None:
    for folder in ("runs/set-test/m", "results/one"):
        (project.package / folder).mkdir(parents=True)
        (project.package / folder / "run.json").write_text("{}")
        (project.package / folder / "predictions.json.gz").write_bytes(b"1")


def _an_environment(project: Project) -> None:
    (project.package / "venv/lib").mkdir(parents=True)
    (project.package / "venv/pyvenv.cfg").write_text("")
    (project.package / "venv/lib/x.py").write_text("")


def _pictures(project: Project) -> None:
    (project.package / "data").mkdir()
    for number in range(1001):
        (project.package / "data" / f"{number}.jpg").touch()


NO_CHANGES: dict[str, Callable[[Project], object]] = {
    "times": lambda p: os.utime(p.package / "method.py", (1, 1)),
    "compiled files": lambda p: p.write(f"{p.name}/__pycache__/method.cpython-311.pyc", "1"),
    "hidden files": lambda p: p.write(f"{p.name}/.cache/x.py", "1"),
    "tests of the project": lambda p: (p.root / "tests/test_it.py").write_text("1"),
    "a module that nobody imports": lambda p: p.write("scratch.py", "1"),
    "runs": _a_run,
    "an environment": _an_environment,
    "pictures": _pictures,
    "a linked folder of data": lambda p: (p.package / "linked").symlink_to(p.root / "tests"),
    "a link to itself": lambda p: (p.package / "again").symlink_to(p.package),
}


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_decides_nothing_changes_nothing(project: Project, change: str) -> None:
    before = project.digest()
    NO_CHANGES[change](project)
    assert project.digest() == before


def test_the_digest_does_not_depend_on_where_the_code_lies(project: Project, tmp_path: Path) -> None:
    before = project.digest()
    shutil.copytree(project.root, tmp_path / "elsewhere")
    project.source, project.package = tmp_path / "elsewhere/src", tmp_path / "elsewhere/src" / project.name
    assert project.digest() == before


def test_the_code_of_a_base_class_in_another_project_is_covered(project: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", f"base{next(_numbers)}")
    project.write(
        f"{project.name}/method.py", f"from {other.name}.method import M as B\nclass M(B):\n    pass\n"
    )
    sys.path.insert(0, str(other.source))
    try:
        before = project.digest()
        other.write(f"{other.name}/table.toml", "a = 3\n")
        assert project.digest() != before
    finally:
        sys.path.remove(str(other.source))


def test_the_code_of_a_package_without_init_is_what_is_imported_of_it(project: Project) -> None:
    project.write(f"{project.name}_ns/tool.py", "A = 1\n")
    project.write(f"{project.name}_ns/other.py", "A = 1\n")
    project.write(f"{project.name}_more.py", f"from {project.name}_ns import (\n    tool as t,  # more\n)\n")
    before = project.digest()
    project.write(f"{project.name}_ns/other.py", "A = 2\n")
    assert project.digest() == before
    project.write(f"{project.name}_ns/tool.py", "A = 2\n")
    assert project.digest() != before


NOTEBOOK = """
import sys
from crowdbench.system.source_code.digest import code_of, combined
{before}
SCALE = {scale}
def decode(x):
    return x {sign} SCALE
class Method:
    def estimate(self, image):
        return [decode(value) for value in image]
print(combined(code_of([Method])))
"""


def test_a_class_of_a_notebook_is_known_by_what_it_does() -> None:
    def digest(before: str = "", scale: str = "1", sign: str = "+") -> str:
        text = NOTEBOOK.format(before=before, scale=scale, sign=sign)
        done = subprocess.run(
            [sys.executable, "-"], input=text, capture_output=True, text=True, check=True, env=os.environ
        )
        return done.stdout

    same = digest()
    assert digest(before="x = 3\ndef unused(): pass") == same
    assert digest(scale="2") != same
    assert digest(sign="-") != same


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b as c, d", {"a.b", "d"}),
        ("    from a.b import c as d, e", {"a.b", "a.b.c", "a.b.e"}),
        ("from a import (\n  b,  # x\n  c as d,\n)", {"a", "a.b", "a.c"}),
        ("from . import a\nfrom .b import c", set()),
        ('m = importlib.import_module("a.b")', {"a.b"}),
        ("x = 1  # import a", set()),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, names: set[str]) -> None:
    assert set(imports_in(source.encode())) == names


def test_the_packages_of_a_wheel_are_those_that_its_record_lists(tmp_path: Path) -> None:
    info = tmp_path / "x-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: x\nVersion: 1\n")
    (info / "RECORD").write_text(
        "x/__init__.py,sha256=a,1\nx_more/data/t.toml,sha256=b,1\nsingle.py,sha256=c,1\n"
        "../../../bin/x,sha256=d,1\nx-1.dist-info/RECORD,,\n__pycache__/single.cpython-311.pyc,,\n"
    )
    assert packages_of(Distribution.at(info)) == {"x", "x_more", "single"}


@pytest.mark.parametrize("cache", ["damaged", "a file", "of another version"])
def test_a_cache_that_cannot_be_used_costs_time_only(
    project: Project, tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = project.digest()
    if cache == "a file":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CROWDBENCH_CACHE", str(tmp_path / "file"))
    else:
        folder = tmp_path / "cache/digests"
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.write_bytes(b"\x91\x01" if cache == "of another version" else b"\xc1")
    assert project.digest() == before


def test_a_thousand_files_that_are_known_take_50_ms(project: Project) -> None:
    for number in range(1000):
        project.write(f"{project.name}/part{number % 20}/m{number}.py", f"import os, numpy\nX = {number}\n")
    old = time.time() - 60
    for path in project.package.rglob("*.py"):
        os.utime(path, (old, old))
    time.sleep(2.1)  # what has just been changed is not believed to stay as it is
    before = project.digest()
    module = sys.modules[f"{project.name}.method"]
    sys.path.insert(0, str(project.source))
    try:
        seconds = []
        for _ in range(5):
            clock = time.process_time()
            assert combined(code_of([module.M])) == before
            seconds.append(time.process_time() - clock)
    finally:
        sys.path.remove(str(project.source))
    assert min(seconds) < 0.05
