"""The pytest classes as the author of a plugin meets them."""

import subprocess
import sys
from pathlib import Path

from crowdbench.testing import DatasetContract, MethodContract
from crowdbench.testing.dataset_checks import DATASET_CHECKS
from crowdbench.testing.method_checks import METHOD_CHECKS

TESTS = """
from support.methods.toy import BoxCentre
from crowdbench.testing import MethodContract
from crowdbench_datasets.keypoint_sets import CROWDPOSE_14

class TestCentre(MethodContract):
    def make(self):
        return BoxCentre(CROWDPOSE_14, BoxCentre.Settings())

class TestNobody(MethodContract):
    method = "toy-centr"
    dataset = "crowdpose"
"""


def test_every_check_is_a_test_of_its_name() -> None:
    for contract, checks in ((MethodContract, METHOD_CHECKS), (DatasetContract, DATASET_CHECKS)):
        for check in checks:
            assert getattr(contract, f"test_{check.name}").__doc__ == check.question
    names = [check.name for check in (*METHOD_CHECKS, *DATASET_CHECKS)]
    assert len({check.name for check in METHOD_CHECKS}) == len(METHOD_CHECKS)
    assert all(name.isidentifier() for name in names)


def test_a_plugin_sees_passes_failures_and_reasons(tmp_path: Path, toy_plugins: dict[str, str]) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS)
    wanted = "test_shift or test_weights_round_trip"
    options = ["-rsf", "-q", "-p", "no:cacheprovider", "-k", wanted]
    command = [sys.executable, "-P", "-m", "pytest", *options, "."]
    done = subprocess.run(command, cwd=tmp_path, env=toy_plugins, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout
    assert "the method has no network that crowdbench knows of" in done.stdout
    assert "Did you mean 'toy-centre'?" in done.stdout


def test_importing_the_kit_imports_neither_pytest_nor_torch_nor_opencv() -> None:
    code = (
        "import sys, crowdbench.testing, crowdbench.cli.check\n"
        "print([m for m in ('pytest', 'torch', 'cv2', 'pandas', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
