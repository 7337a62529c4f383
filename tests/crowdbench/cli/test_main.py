import subprocess
import sys
import time

import pytest

from crowdbench import cli


def python(code: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


HEAVY = ("torch", "pandas", "cv2", "hotcoco", "pycocotools", "matplotlib", "rich")


def test_importing_crowdbench_imports_nothing_heavy() -> None:
    done = python(f"import crowdbench, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, crowdbench.cli as c\n"
        "try: c.main(['--help'])\n"
        f"except SystemExit: print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert python(code).stdout.strip().endswith("[]")


def test_every_public_name_can_be_loaded() -> None:
    done = python("import crowdbench; print([getattr(crowdbench, n).__name__ for n in crowdbench.__all__])")
    assert done.returncode == 0, done.stderr


def test_every_command_in_the_table_exists_and_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as caught:
            cli.main([name, "--help"])
        assert caught.value.code == 0
        assert "Usage: crowdbench " + name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sign"),
    [
        (["run", "i2rnet-vanila", "synthcrowd"], "Did you mean 'i2rnet-vanilla'"),
        (["run", "i2rnet-vanilla", "crowdpos"], "Did you mean 'crowdpose'"),
        (["run", "i2rnet-vanilla", "synthcrowd", "--split", "tset"], "Did you mean 'test'"),
        (
            ["run", "i2rnet-vanilla", "synthcrowd"],
            "no weights are published for i2rnet-vanilla on synthcrowd",
        ),
        (["run", "i2rnet-vanilla", "synthcrowd", "--weights", "no.pth"], "no.pth"),
        (["run", "i2rnet-vanilla", "synthcrowd", "--weights", "none", "--set", "fliptest=1"], "flip_test"),
        (["run", "i2rnet-vanilla", "synthcrowd", "--weights", "none", "--set", "fliptest"], "key=value"),
        (["run", "i2rnet-vanilla", "synthcrowd", "--weights", "none", "--on", "moon"], "launcher"),
        (["run", "i2rnet-vanilla", "synthcrowd", "--weights", "none", "--device", "abacus"], "device"),
        (["run", "i2rnet-vanilla", "synthcrowd", "--weights", "none", "--limit", "0"], "limit"),
        (["run", "i2rnet-vanilla", "crowdpose", "--weights", "none", "--root", "nowhere"], "nowhere"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_input_ends_with_status_2_a_reason_and_no_traceback(arguments: list[str], sign: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crowdbench", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert sign in done.stderr
    assert "Traceback" not in done.stderr


def test_help_answers_within_a_few_bare_starts_of_python() -> None:
    """The promise of 0.3 s, as a ratio: a bare interpreter takes 15 to 30 ms on the machines it was measured on."""

    def best(arguments: list[str]) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(["-m", "crowdbench", "--help"]) < 12 * best(["-c", "pass"])


def test_no_public_name_is_hidden_by_a_module_of_its_name() -> None:
    """Importing a submodule sets an attribute of the package: a function of that name would be lost."""
    done = python(
        "import crowdbench, pkgutil\n"
        "modules = {m.name for m in pkgutil.iter_modules(crowdbench.__path__)}\n"
        "print(sorted(modules & set(crowdbench.__all__)))"
    )
    assert done.stdout.strip() == "[]", done.stderr
