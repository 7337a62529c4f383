"""The version of the installed package. `pyproject.toml` is the only place where the number is written."""


def package_version() -> str:
    """The installed version of crowdbench, or "unknown" where only its source is on the path.

    A source tree's `pyproject.toml` is not read instead: what is on the path may be any commit.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("crowdbench")
    except PackageNotFoundError:
        return "unknown"
