"""Templates of a plugin's files other than code."""

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "my-method"
version = "0.1.0"
description = "A pose method for crowdbench"
readme = "README.md"
requires-python = ">=3.11"
dependencies = [$dependencies]

[project.optional-dependencies]
test = ["pytest>=8"]

# What makes it a plugin: the name that users type, and the class that it stands for.
[project.entry-points."crowdbench.methods"]
my-method = "my_method:MyMethod"

[tool.setuptools.package-data]
my_method = ["py.typed"]

[tool.pytest.ini_options]
testpaths = ["tests"]

[tool.mypy]
strict = true
files = ["src", "tests"]

[tool.ruff]
line-length = 110

# Imports of crowdbench come after those of other packages, in a group of their own.
[tool.ruff.lint.isort]
known-first-party = ["crowdbench"]
"""

README = """\
# my-method

$kind.
`crowdbench new-method` wrote it. It runs as it is, and is yours to change.

| file | |
|---|---|
$files
| `tests/test_my_method.py` | what crowdbench asks of every method, a test each; add your own |
| `pyproject.toml` | the entry point: which name stands for which class |

## Use it

```
pip install -e '.[test]'
$commands
pytest
```

`pip install -e` installs this folder in place: changes in `src/` take effect at once. The code is in
`src/` so that tests import the installed package, entry point included, and not a folder next to
them.

## Make it yours

$steps

Raise the `version` when results change. It is in the record of every run, and runs of two versions are
two runs.
"""
