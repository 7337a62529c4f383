"""Limits of numeric options; beyond them PyTorch, JSON or the memory allocator would fail obscurely."""

import math

from crowdbench.errors import SettingsError

LARGEST_SEED = 2**63 - 1  # what TOML and JSON hold
MOST_WORKERS = 1024
MOST_AT_ONCE = 1_000_000  # persons or images in the network
MOST_IMAGES = 1_000_000_000
LONGEST_S = 1e9


def require_options(
    *,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    save_every_s: float = 0.0,
) -> None:
    """See that the numbers of a run or a training are ones that can be meant.

    Args:
        seed, limit, batch_size, workers, save_every_s: as `crowdbench.evaluate` takes them.

    Raises:
        SettingsError: one is not; names the range.
    """
    for name, value, least, most in (
        ("seed", seed, 0, LARGEST_SEED),
        ("limit", limit, 1, MOST_IMAGES),
        ("batch size", batch_size, 1, MOST_AT_ONCE),
        ("workers", workers, 0, MOST_WORKERS),
    ):
        if value is not None and not (isinstance(value, int) and least <= value <= most):
            raise SettingsError(f"{name} must be a whole number from {least} to {most}, got {_shown(value)}.")
    if not 0 <= save_every_s <= LONGEST_S or math.isnan(save_every_s):
        raise SettingsError(
            f"the time between two writes must be from 0 to {LONGEST_S:.0f} seconds, got {save_every_s}."
        )


def _shown(value: object) -> str:
    text = str(value) if not isinstance(value, int) or value.bit_length() < 200 else f"{value:#x}"
    return text if len(text) <= 40 else f"{text[:40]}..."
