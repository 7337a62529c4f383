"""Installs distributions that exist only for a test."""

import os
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def install_fake_distribution(
    site: Path,
    name: str,
    entry_points: Mapping[str, Mapping[str, str]],
    *,
    version: str = "1.0",
    modules: Mapping[str, str] | None = None,
) -> Path:
    """Write what pip would write for a distribution, into a folder that is or will be on the path.

    Args:
        site: the folder.
        name: the distribution's name.
        entry_points: targets by name, by group; groups without ``crowdbench.``.
        version: the distribution's version.
        modules: source code by module name.

    Returns:
        The folder of the distribution's metadata.
    """
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (
        "\n".join([f"[crowdbench.{group}]", *(f"{key} = {target}" for key, target in targets.items())])
        for group, targets in entry_points.items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")
    for module, code in (modules or {}).items():
        (site / f"{module}.py").write_text(code)
    return info


def python_path(*folders: Path | str, before: str = "") -> str:
    """PYTHONPATH with some folders, then the tests' own, so that entry points may name ``support.…``."""
    return os.pathsep.join(filter(None, [*map(str, folders), str(TESTS.parent), str(TESTS), before]))
