"""The version of the installed package. `pyproject.toml` is the only place where the number is written."""


def package_version() -> str:
    """The installed version, or "unknown" where only the source is on the path, which may be any commit."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("crowdbench")
    except PackageNotFoundError:
        return "unknown"
