"""The input sizes that a network accepts."""

from crowdbench.errors import ShapeError


def require_multiple(input_size: tuple[int, int], divisor: int) -> None:
    """Refuse an input size that a network's halvings do not divide.

    Raises:
        ShapeError: height or width is not a positive multiple.
    """
    if min(input_size) < divisor or any(side % divisor for side in input_size):
        raise ShapeError(f"input_size {input_size}: height and width must be divisible by {divisor}.")
