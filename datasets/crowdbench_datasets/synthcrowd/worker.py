"""The program of a process that draws pictures for another: see `parallel`.

Its arguments are a recipe in JSON, the first image and the step to the next. It writes pictures to its
standard output, each behind its length, and ends when nobody reads them any more.
"""

import json
import os
import sys

import cv2
import msgspec

from crowdbench_datasets.synthcrowd.image import draw
from crowdbench_datasets.synthcrowd.parallel import LENGTH_BYTES
from crowdbench_datasets.synthcrowd.recipe import Recipe


def main(recipe: str, first: str, step: str) -> None:
    """Draw every ``step``-th image of a set."""
    # Workers are the parallelism; OpenCV's own threads on top would fight over the cores.
    cv2.setNumThreads(1)
    wanted = Recipe(**json.loads(recipe))
    out = sys.stdout.buffer
    try:
        for index in range(int(first), wanted.images, int(step)):
            content = msgspec.msgpack.encode(draw(wanted, index))
            out.write(len(content).to_bytes(LENGTH_BYTES))
            out.write(content)
            out.flush()
    except BrokenPipeError:
        # The reader is gone. Leave without flushing: the interpreter would complain about the pipe once more.
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
