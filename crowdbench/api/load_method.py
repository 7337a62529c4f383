"""Load an installed method by name and check that its class follows the plugin contract."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from crowdbench import plugins
from crowdbench.api.method import Method, NetworkMethod
from crowdbench.api.settings import override, settings_as_values
from crowdbench.api.types import KeypointSet, Paradigm, Precision
from crowdbench.errors import PluginError, SettingsError
from crowdbench.system.plugin_calls import calling, refuse_renamed_hooks

if TYPE_CHECKING:
    from crowdbench.api.dataset import Dataset


# Hooks by the names that they had before version 0.1.0.
_RENAMED_OF_ALL = {
    "begin": "on_start",
    "known_protocol": "protocol_overrides",
    "computed_with": "tracked_packages",
    "writes_boxes": "include_boxes",
    "load": "load_weights",
    "published_settings": "published (a mapping from datasets to settings)",
}


_RENAMED = {
    **_RENAMED_OF_ALL,
    "network": "build_network",
    "released_weights": "convert_state_dict",
    "for_inference": "optimize_for_inference",
    "at_once": "set_batch_limit",
    "train_with": "configure_training",
    "start_from": "initialize_from",
    "counted": "count_targets",
}


def method_class(name: str) -> type[Method]:
    """The class behind a method's name."""
    found = plugins.load("method", name)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise PluginError(
            f"method {name!r} refers to {found!r}, which is not a subclass of crowdbench.Method."
        )
    require_contract(found, name)
    return found


def refuse_network_options(cls: type[Method], name: str, precision: Precision, compiled: bool) -> None:
    """Raise SettingsError for a precision, or compilation, that would not affect a method without network."""
    if issubclass(cls, NetworkMethod) or (precision == "fp32" and not compiled):
        return
    option = f"--precision {precision}" if precision != "fp32" else "--compile"
    raise SettingsError(
        f"{name} has no network that crowdbench runs, so {option} would change nothing. Leave it out."
    )


def require_contract(cls: type[Method], name: str) -> None:
    """Raise PluginError if a method's class has no valid paradigm, or its settings are not a dataclass."""
    paradigm = getattr(cls, "paradigm", None)
    known = get_args(Paradigm)
    if not (isinstance(paradigm, str) and paradigm in known):
        raise PluginError(
            f"method {name!r}: {cls.__name__}.paradigm must be one of {', '.join(map(repr, known))}, "
            + ("and is not set." if paradigm is None else f"and is {paradigm!r}.")
        )
    if not (isinstance(cls.Settings, type) and dataclasses.is_dataclass(cls.Settings)):
        raise PluginError(
            f"method {name!r}: {cls.__name__}.Settings must be a dataclass, as in @dataclass(frozen=True), "
            f"and is {cls.Settings!r}."
        )
    if not isinstance(cls.published, Mapping):
        raise PluginError(
            f"method {name!r}: {cls.__name__}.published must map datasets to settings, not {cls.published!r}."
        )
    renamed = _RENAMED if issubclass(cls, NetworkMethod) else _RENAMED_OF_ALL
    refuse_renamed_hooks(f"method {name!r}", cls, renamed)
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"method {name!r}: {cls.__name__} does not define {', '.join(missing)}.")


def load_method(name: str, dataset: "str | Dataset", **settings: Any) -> Method:
    """Configure an installed method for a dataset.

    Args:
        name: as `crowdbench methods` lists it.
        dataset: a dataset's name, or an opened dataset.
        settings: overrides, by name; values may be strings, as on the command line.

    Raises:
        UnknownNameError: no such method or dataset.
        SettingsError: no such setting, or a value of the wrong type.
    """
    from crowdbench.api.dataset import dataset_class

    cls = method_class(name)
    opened = dataset_class(dataset) if isinstance(dataset, str) else dataset
    published = published_settings(cls, name, opened.name)
    configured = override(published, settings, of=name)
    with calling(name, "__init__"):
        method = cls(opened.keypoints, configured, name)
    require_whole(method)
    return method


def published_settings(cls: type[Method], name: str, dataset: str) -> Any:
    """`Method.settings_for`, checked; raises PluginError."""
    with calling(name, "Settings"):
        found = cls.settings_for(dataset)
    settings_as_values(found, f"{name}: the settings for {dataset}")
    return found


def require_whole(method: Method) -> None:
    """Check that a method follows the contract, however it was built.

    Raises:
        PluginError: it is not a method, its class breaks the contract, or it lacks keypoints, settings
            or a name.
    """
    if not isinstance(method, Method):
        raise PluginError(f"{method!r} is not an instance of crowdbench.Method.")
    name = getattr(method, "name", None)
    if not (isinstance(name, str) and name):
        raise PluginError(
            f"{type(method).__name__} has no name; its __init__ must call that of crowdbench.Method, which "
            "sets keypoints, settings and name."
        )
    require_contract(type(method), name)
    if not isinstance(getattr(method, "keypoints", None), KeypointSet) or not hasattr(method, "settings"):
        raise PluginError(
            f"{name}: {type(method).__name__}.__init__ must call that of crowdbench.Method, which sets "
            "keypoints, settings and name."
        )
    settings_as_values(method.settings, f"{name}: settings")
