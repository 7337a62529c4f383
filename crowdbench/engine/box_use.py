"""Check that the boxes of a run suit its method, before anything is computed."""

from crowdbench.api.boxes import BoxSource, DetectorBoxes, NoBoxes
from crowdbench.api.types import Paradigm
from crowdbench.errors import SettingsError


def require_boxes_fit(method: str, paradigm: Paradigm, boxes: BoxSource) -> None:
    """Check that a method that needs boxes has some, and that one that does not gets none.

    Ground-truth boxes are what a dataset is opened with where nothing else is said; methods that find
    persons by themselves are not shown them.

    Args:
        method: its name.
        paradigm: of the method.
        boxes: of the run.

    Raises:
        SettingsError: they do not go together; says what to pass instead.
    """
    if paradigm == "top-down" and isinstance(boxes, NoBoxes):
        raise SettingsError(
            f"{method} is a top-down method: it looks for a person in each box, and without boxes it would "
            "find no persons.\nPass --boxes gt, or a detector's results file."
        )
    if paradigm != "top-down" and isinstance(boxes, DetectorBoxes):
        raise SettingsError(
            f"{method} is a {paradigm} method: it finds the persons by itself and takes no boxes; those of "
            f"{boxes.path} would change nothing.\nLeave --boxes out, or pass --boxes none."
        )
