"""Published weights: what exists, where it is stored, and how a name becomes a verified local file.

- `table`: the files that installed packages know of (``weights.toml``).
- `cache`: where files are kept, and the lock beside each that says what it must be.
- `download`: one resumable transfer.
- `fetching`: all of it for one file, with many processes at once.
- `resolve`: what ``--weights`` may say.
"""

from crowdbench.weights.cache import Wanted, weights_folder
from crowdbench.weights.download import Transfer
from crowdbench.weights.fetch import fetch
from crowdbench.weights.resolve import ResolvedWeights, find_wanted, resolve_weights
from crowdbench.weights.table import WeightsEntry, weights_table

__all__ = [
    "ResolvedWeights",
    "Transfer",
    "Wanted",
    "WeightsEntry",
    "fetch",
    "find_wanted",
    "resolve_weights",
    "weights_folder",
    "weights_table",
]
