"""The line that installs crowdposetools, as it is printed, on a repository of the same shape.

GitHub may be out of reach where tests run. The repository here has what makes the real one hard to build: a
setup that imports numpy, Cython, sources outside of the package, and names that are gone from numpy and Python.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crowdbench.scoring.engines.crowdposetools import Crowdposetools

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "common/maskApi.h": "int one(void);\n",
    "common/maskApi.c": '#include "maskApi.h"\nint one(void) { return 1; }\n',
    "PythonAPI/setup.py": """\
from setuptools import setup, Extension
import numpy as np

setup(
    name="crowdposetools",
    packages=["crowdposetools"],
    version="2.0",
    ext_modules=[
        Extension(
            "crowdposetools._mask",
            sources=["../common/maskApi.c", "crowdposetools/_mask.pyx"],
            include_dirs=[np.get_include(), "../common"],
        )
    ],
)
""",
    "PythonAPI/crowdposetools/__init__.py": "",
    "PythonAPI/crowdposetools/_mask.pyx": """\
cimport numpy as np
np.import_array()
cdef extern from "maskApi.h":
    int one()
def version():
    return one()
""",
    "PythonAPI/crowdposetools/coco.py": """\
import pycocotools.coco
from . import _mask

class COCO(pycocotools.coco.COCO):
    def __init__(self, annotation_file):
        assert _mask.version() == 1
        super().__init__(annotation_file)
        self.anno_file = [annotation_file]

    def loadRes(self, resFile):
        if type(resFile) == str or type(resFile) == unicode:
            raise AssertionError("a list is given")
        return super().loadRes(resFile)
""",
    "PythonAPI/crowdposetools/cocoeval.py": """\
import numpy as np
import pycocotools.cocoeval

SIGMAS = np.array([.79, .79, .72, .72, .62, .62, 1.07, 1.07, .87, .87, .89, .89, .79, .79]) / 10

class COCOeval(pycocotools.cocoeval.COCOeval):
    def __init__(self, truth, found, kind):
        for person in truth.dataset["annotations"]:
            person["area"] = 0.53 * person["bbox"][2] * person["bbox"][3]
        super().__init__(truth, found, kind)
        self.params.kpt_oks_sigmas = SIGMAS.astype(dtype=np.float)
        self.params.iouThrs = np.linspace(.5, 0.95, np.round(
            (0.95 - .5) / .05) + 1, endpoint=True)

    def summarize(self):
        stats = np.zeros(11)
        ids = {image["id"]: image["crowdIndex"] for image in self.cocoGt.dataset["images"]}
        for place, (low, high) in enumerate([(-1, 99), (0, .2), (.2, .8), (.8, 99)], start=7):
            self.params.imgIds = [one for one, index in ids.items() if low <= index < high]
            self.evaluate()
            self.accumulate()
            super().summarize()
            if place == 7:
                stats[[0, 1, 2, 5, 6, 7]] = self.stats[[0, 1, 2, 5, 6, 7]]
            else:
                stats[place] = round(float(self.stats[0]), 4)
        self.stats = stats
""",
}


def test_the_page_has_the_line_that_the_engine_prints() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert f"```bash\n{Crowdposetools.install}\n```" in page


@pytest.mark.slow
def test_what_the_printed_line_builds_agrees_with_the_default_engine(tmp_path: Path, goldens: Path) -> None:
    repository = tmp_path / "repository"
    for name, content in FILES.items():
        path = repository / "crowdpose-api" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    (tmp_path / "gitconfig").write_text(
        f'[url "{repository.as_uri()}"]\n  insteadOf = https://github.com/Jeff-sjtu/CrowdPose\n'
    )
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "fresh"], check=True)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'fresh' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
    }
    built = subprocess.run(
        ["bash", "-c", Crowdposetools.install],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-4000:]
    (site,) = (tmp_path / "fresh").glob("lib/*/site-packages")
    for name in ("crowdposetools", "crowdposetools-2.0.dist-info"):
        (tmp_path / "site").mkdir(exist_ok=True)
        (site / name).rename(tmp_path / "site" / name)
    folder = goldens / "metrics"
    scored = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "crowdbench",
                "score",
                str(folder / "crowd_small_preds.json"),
                "crowdpose",
            ),
            *("--annotations", str(folder / "crowdpose_val_small_gt.json")),
            *("--engine", "crowdposetools", "--cross-check", "hotcoco"),
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert scored.returncode == 0, scored.stderr
    assert "scored by crowdposetools 2.0" in scored.stdout
    assert "cross-check: hotcoco" in scored.stdout
