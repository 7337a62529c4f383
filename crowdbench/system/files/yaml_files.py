"""Read YAML as plain data: no objects, no aliases, limited depth."""

import re
from typing import Any

_DEEPEST = 50
# What may be an alias, or deep nesting. Most files have none, and looking closely takes time.
_SUSPICIOUS = re.compile(r"(?:^|[\s,\[{:-])[*&]\S|(?:[-?:][ \t]+){10}|\n {50}")


def load_yaml(text: str) -> Any:
    """Decode a document.

    Raises:
        ValueError: it is not YAML, nests too deeply, or uses aliases (``*name``), by which a few lines can
            expand to billions.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if _SUSPICIOUS.search(text) or text.count("[") + text.count("{") > _DEEPEST:
            _look_closely(text, loader)
        return yaml.load(text, loader)
    except yaml.YAMLError as fault:
        raise ValueError(str(fault)) from fault
    except RecursionError as fault:
        raise ValueError("lists or mappings are nested too deeply") from fault


def _look_closely(text: str, loader: Any) -> None:
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"aliases (*{event.anchor}) are not read; write out what they stand for")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ValueError(f"lists or mappings are nested more than {_DEEPEST} deep")
