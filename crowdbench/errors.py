"""All exceptions that crowdbench raises deliberately.

    CrowdbenchError
    ├── InputError                    what the user gave is wrong; exit status 2
    │   ├── UnknownNameError          no such method, dataset, split, engine
    │   ├── SettingsError             a setting that does not exist, or a value of the wrong kind
    │   ├── ShapeError                an array of the wrong shape
    │   ├── DataError                 something on disk
    │   │   ├── MissingDataError      a file or folder that is not there
    │   │   ├── AnnotationError       a ground-truth file that cannot be scored against
    │   │   ├── PredictionError       a results file that cannot be scored
    │   │   └── ImageError            an image that cannot be read, or is not what was promised
    │   ├── WeightsError              a checkpoint that is unsafe, unreadable or does not fit
    │   └── EngineUnavailableError    a scoring engine that is not installed
    ├── PluginError                   an installed plugin that does not load or breaks its contract, or two of
    │                                 one name; exit status 1
    ├── LaunchError                   a job that a cluster does not take, or that is not there; exit status 1
    └── RunError                      a run that could not go on; exit status 1
        ├── StoppedError              it was stopped; it can be resumed
        ├── MachineError              a full disk, a lost process: trying again may do
        └── SupersededError           another process is at it, or has taken it over

A message says what was asked, what was found and what to do next. `CrowdbenchError` is shown to the user
without a traceback; a traceback means a bug.
"""

import difflib
from collections.abc import Iterable


class CrowdbenchError(Exception):
    """Base of every error that crowdbench raises on purpose."""

    exit_status = 1


class InputError(CrowdbenchError):
    """What the user gave is wrong."""

    exit_status = 2


class UnknownNameError(InputError):
    """A name that nothing installed answers to."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = sorted(known)
        nearest = difflib.get_close_matches(name, known, n=1)
        guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
        listing = ", ".join(known) or "none"
        super().__init__(
            f"no {kind} is called {name!r}.{guess}\nKnown: {listing}." + (f"\n{hint}" if hint else "")
        )
        self.name = name


class SettingsError(InputError):
    """A setting that does not exist, or a value of the wrong kind."""


class ShapeError(InputError):
    """An array of the wrong shape."""


class DataError(InputError):
    """Something on disk is not what it should be."""


class MissingDataError(DataError):
    """A file or folder that is not there."""


class AnnotationError(DataError):
    """A ground-truth file that cannot be used."""


class PredictionError(DataError):
    """A results file that cannot be scored."""


class ImageError(DataError):
    """An image that cannot be read, or is not what the annotations promise."""


class WeightsError(InputError):
    """A checkpoint that is unsafe, unreadable, or does not fit the network."""


class EngineUnavailableError(InputError):
    """A scoring engine that is not installed here."""


class PluginError(CrowdbenchError):
    """An installed plugin does not load or breaks its contract, or two plugins claim one name.

    Attributes:
        raised: where the plugin's code raised something, the name of its class and those of its bases.
        trace: where in the plugin's code that was, as Python prints it; for logs.
    """

    raised: tuple[str, ...] = ()
    trace: str = ""


class RunError(CrowdbenchError):
    """A run could not go on."""


class StoppedError(RunError):
    """A run was stopped and can be resumed."""


class MachineError(RunError):
    """The machine failed, not the run: trying again, perhaps elsewhere, may do."""


class SupersededError(RunError):
    """Another process is at this very run, or has taken it over."""


class LaunchError(CrowdbenchError):
    """A job that a cluster does not take, or that is not there."""
