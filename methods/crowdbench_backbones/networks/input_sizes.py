"""The input sizes that a network accepts."""

from crowdbench.errors import ShapeError


def require_multiple(input_size: tuple[int, int], divisor: int) -> None:
    """Raise ShapeError unless height and width are positive multiples of a network's stride."""
    if min(input_size) < divisor or any(side % divisor for side in input_size):
        raise ShapeError(f"input_size {input_size}: height and width must be divisible by {divisor}.")
