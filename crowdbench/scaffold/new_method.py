"""Write a package with a new method, which installs, runs and passes its tests as it is."""

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal, get_args

from crowdbench.errors import DataError, MachineError
from crowdbench.scaffold.names import PackageNames, names_of
from crowdbench.scaffold.texts import PYPROJECT, README
from crowdbench.system.files.os_errors import cannot_write
from crowdbench.system.files.writing import write_whole

Beginning = Literal["top-down", "bottom-up", "wrapper"]
BEGINNINGS: tuple[Beginning, ...] = get_args(Beginning)

_TEMPLATES = Path(__file__).parent / "templates"
_TEST = "test_my_method.py"


@dataclass(frozen=True)
class _Texts:
    """What is said differently of each beginning.

    Attributes:
        kind: what it is, in a few words.
        dependencies: of the package.
        files: of its code, each with what is in it.
        trains: whether there is something to train.
        steps: how to go on.
    """

    kind: str
    dependencies: tuple[str, ...]
    files: dict[str, str]
    trains: bool
    steps: tuple[str, ...]

    def filling(self) -> dict[str, str]:
        """The words for the places in the templates."""
        return {
            "kind": self.kind,
            "dependencies": ", ".join(f'"{dependency}"' for dependency in self.dependencies),
            "files": "\n".join(f"| `src/my_method/{file}` | {what} |" for file, what in self.files.items()),
            "steps": "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, start=1)),
        }


_NETWORK_STEPS = (
    "The network: put yours into `network.py`. It may have any shape; `predict` and `loss` are all that "
    "call it.",
    "What goes in and comes out: `prepare` and `predict` in `method.py`.",
    "What can be set: everything that can change a number belongs into the settings, everything that can "
    "change the weights into the recipe. Both are recorded.",
    "The numbers of your paper: `published` and `published_recipe`, for each dataset.",
)
_TEXTS: dict[Beginning, _Texts] = {
    "top-down": _Texts(
        "A top-down pose method: persons are cut out, a network draws a heatmap for each keypoint",
        ("crowdbench", "numpy", "torch"),
        {
            "network.py": "the network: a crop in, heatmaps out",
            "method.py": "from images to poses, and to a loss",
            "crops.py": "what goes into the network",
            "settings.py": "what can be set: for predictions, and for training",
        },
        True,
        _NETWORK_STEPS,
    ),
    "bottom-up": _Texts(
        "A bottom-up pose method: a network finds people's centres and, from there, their keypoints",
        ("crowdbench", "numpy", "torch"),
        {
            "network.py": "the network: an image in, centres and offsets out",
            "method.py": "from images to poses, and to a loss",
            "examples.py": "what goes into the network, and what should come out",
            "frames.py": "where things are: image, input, output",
            "settings.py": "what can be set: for predictions, and for training",
        },
        True,
        _NETWORK_STEPS,
    ),
    "wrapper": _Texts(
        "A pose model that is not PyTorch, behind the interface that crowdbench calls",
        ("crowdbench", "numpy"),
        {
            "model.py": "`infer`: a crop in, keypoints out; a stand-in until you call your model there",
            "method.py": "settings, and the way from image to crops and back",
        },
        False,
        (
            "The model: call it in `infer`, in `model.py`. ONNX Runtime, TensorRT, a service: nothing else "
            "has to know.",
            "Its file: with `takes_weights = True` in the class, users name it by `--weights FILE`, and "
            "`load(weights)` is given it.",
            "Its numbers: everything that can change a result belongs into the settings, which are recorded.",
        ),
    ),
}


def new_method(name: str, beginning: Beginning = "top-down", into: Path = Path()) -> list[Path]:
    """Write a package with a method that runs, and tests that pass.

    Args:
        name: of the method, the distribution and, with underscores, the module.
        beginning: what the method is like to begin with.
        into: the folder that the package's own is made in.

    Returns:
        The files, with `into`. All of them are there, or none.

    Raises:
        InputError: the name will not do.
        DataError: there is such a folder already.
        MachineError: it cannot be written.
    """
    code = {path.name: path.read_text("utf-8") for path in _code(beginning)}
    names = names_of(name, taken={word for text in code.values() for word in re.findall(r"\w+", text)})
    files = _files(names, code, beginning)
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise DataError(f"{folder}: something is there already. Choose another name, or another --out.")
    _write_together(folder, files)
    return [folder / file for file in files]


def commands_of(name: str, beginning: Beginning) -> list[str]:
    """What to do with a package once it is installed, step by step."""
    trains = _TEXTS[beginning].trains
    return [
        f"crowdbench check {name}",
        f"crowdbench run {name} synthcrowd{' --weights none' if trains else ''} --limit 20",
        *([f"crowdbench train {name} synthcrowd --limit 100"] if trains else []),
        "crowdbench leaderboard",
    ]


def _code(beginning: Beginning) -> list[Path]:
    return sorted((_TEMPLATES / beginning.replace("-", "_")).glob("*.py"))


def _files(names: PackageNames, code: dict[str, str], beginning: Beginning) -> dict[str, str]:
    """Content by path within the package's folder."""
    filling = {**_TEXTS[beginning].filling(), "commands": "\n".join(commands_of("my-method", beginning))}
    package = f"src/{names.module}"
    templates = {
        "pyproject.toml": Template(PYPROJECT).substitute(filling),
        "README.md": Template(README).substitute(filling),
        **{f"{package}/{file}": text for file, text in code.items() if file != _TEST},
        f"{package}/py.typed": "",
        f"tests/test_{names.module}.py": code[_TEST],
    }
    words = {"my-method": names.name, "my_method": names.module, "MyMethod": names.class_name}
    # All in one pass, so that no name is looked for in another one.
    return {
        file: re.sub("|".join(words), lambda found: words[found[0]], text) for file, text in templates.items()
    }


def _write_together(folder: Path, files: dict[str, str]) -> None:
    """Write beside, then rename: the folder appears with all that is in it."""
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    try:
        for file, text in files.items():
            write_whole(temporary / file, text.encode())
        temporary.rename(folder)
    except (OSError, MachineError) as failure:
        raise cannot_write(folder, failure.__cause__ or failure) from failure
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
