"""Entry point of a worker process that draws images; see `parallel`.

Arguments: a recipe in JSON, the index of the first image, and the step. Images are written to standard
output, each prefixed by its length. The process ends when the reader closes the pipe.
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
    # The processes are the parallelism; OpenCV's threads would oversubscribe the cores.
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
        # The reader has gone. Exit without flushing, or the interpreter reports the pipe again.
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
