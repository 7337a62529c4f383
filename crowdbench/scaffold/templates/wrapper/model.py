"""The model: a crop in, keypoints out. Call your own here; nothing else has to know what it is.

With ONNX Runtime, for one, `infer` would be::

    session = onnxruntime.InferenceSession("model.onnx")
    (keypoints,) = session.run(None, {"image": crop[None].astype(np.float32) / 255})
    return keypoints[0]

Make the session once, when it is first needed, and keep it in the method; if the model is a file that users
bring (``--weights model.onnx``), set ``takes_weights = True`` in the method and open it in ``load(weights)``.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# A placeholder: a person in the middle of the crop who faces the camera, whatever the pixels show. x, y from
# 0 to 1 over the crop; a person's left is on the right of the image.
AVERAGE_PERSON = {
    "head": (0.50, 0.16),
    "nose": (0.50, 0.18),
    "left_eye": (0.52, 0.17),
    "right_eye": (0.48, 0.17),
    "left_ear": (0.55, 0.17),
    "right_ear": (0.45, 0.17),
    "neck": (0.50, 0.25),
    "left_shoulder": (0.62, 0.28),
    "right_shoulder": (0.38, 0.28),
    "left_elbow": (0.67, 0.40),
    "right_elbow": (0.33, 0.40),
    "left_wrist": (0.68, 0.52),
    "right_wrist": (0.32, 0.52),
    "left_hip": (0.57, 0.53),
    "right_hip": (0.43, 0.53),
    "left_knee": (0.58, 0.69),
    "right_knee": (0.42, 0.69),
    "left_ankle": (0.58, 0.85),
    "right_ankle": (0.42, 0.85),
}
CONFIDENCE = 0.5


def infer(crop: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.float64]:
    """Find the keypoints of the person in a crop.

    Args:
        crop: ``(H, W, 3)`` uint8, RGB.
        names: of the K keypoints that are asked for.

    Returns:
        ``(K, 3)``: x, y in pixels of the crop, (0, 0) being the centre of the top left one, and a confidence.
    """
    height, width = crop.shape[:2]
    return np.array(
        [(x * (width - 1), y * (height - 1), CONFIDENCE) for x, y in (AVERAGE_PERSON[name] for name in names)]
    )
