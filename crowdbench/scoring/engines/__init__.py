"""The scoring engines by name. An engine's package is imported when it is used."""

from crowdbench.errors import UnknownNameError
from crowdbench.scoring.engines.base import Engine
from crowdbench.scoring.engines.crowdposetools import Crowdposetools
from crowdbench.scoring.engines.hotcoco import Hotcoco
from crowdbench.scoring.engines.pycocotools import Pycocotools
from crowdbench.scoring.engines.xtcocotools import Xtcocotools

ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (Hotcoco, Pycocotools, Xtcocotools, Crowdposetools)
}


def load_engine(name: str) -> Engine:
    """The engine of a name; raises UnknownNameError."""
    if name not in ENGINES:
        raise UnknownNameError("scoring engine", name, ENGINES)
    return ENGINES[name]()
