"""Load ONNX files with ONNX Runtime, after checking their inputs and outputs.

A file is one self-contained graph of standard operators. Tensors in files beside it are refused, because the
hash in a run's record would not cover them; operators of others are refused, because their code would have to
be loaded.
"""

import logging
import tempfile
from abc import abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from crowdbench import Method
from crowdbench.api.types import Float32Array, KeypointSet
from crowdbench.errors import InputError, RunError, SettingsError, WeightsError
from crowdbench.system.files.reading import LARGEST_WEIGHTS, read_bytes
from crowdbench.system.text import first_line
from crowdbench.weights.checkpoint_file.completeness import require_whole
from crowdbench.weights.checkpoint_file.formats import Form

log = logging.getLogger("crowdbench")

Provider = Literal["cpu", "cuda"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_INPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def usual_provider() -> Provider:
    """Return the default provider: ``"cuda"`` if this build of ONNX Runtime supports it, else ``"cpu"``."""
    if find_spec("onnxruntime") is None:
        return "cpu"  # nothing can be computed anyway; `OnnxModel` says what is missing
    import onnxruntime

    return "cuda" if _PROVIDERS["cuda"] in onnxruntime.get_available_providers() else "cpu"


class OnnxModel:
    """A model that takes images ``(n, 3, H, W)``.

    Args:
        path: the ONNX file.
        provider: what to compute with.

    Attributes:
        path: the file.
        batch: how many images it takes at a time; None for any number.
        size: (height, width) of its images; None on an axis that may have any length.

    Raises:
        InputError: ONNX Runtime is not installed.
        SettingsError: the provider is not available here.
        WeightsError: the file is not an ONNX model of images, or refers to other files.
    """

    def __init__(self, path: Path, provider: Provider) -> None:
        self.path = path
        self._session = _session(path, provider)
        inputs = self._session.get_inputs()
        shapes = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _INPUT_TYPES:
            raise WeightsError(
                f"{path}: the model takes {shapes or 'nothing'}; expected one input (n, 3, height, width) of "
                "floats."
            )
        batch, channels, height, width = (n if isinstance(n, int) else None for n in inputs[0].shape)
        if channels not in (3, None) or batch not in (1, None):
            raise WeightsError(
                f"{path}: the model takes {shapes}; expected 3 colours, and one image at a time or any "
                "number."
            )
        self._input, self._type = inputs[0].name, _INPUT_TYPES[inputs[0].type]
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.batch, self.size = batch, (height, width)

    def require_size(self, input_size: tuple[int, int]) -> None:
        """Raise SettingsError if the model takes another (height, width)."""
        if any(own not in (None, side) for own, side in zip(self.size, input_size, strict=True)):
            own = "x".join(str(n or side) for n, side in zip(self.size, input_size, strict=True))
            raise SettingsError(
                f"{self.path}: the model takes images of {own} (height x width); the setting input_size is "
                f"{input_size[0]}x{input_size[1]}.\nPass --set input_size={own}."
            )

    def run(self, images: NDArray[Any]) -> dict[str, Float32Array]:
        """Compute.

        Args:
            images: ``(n, 3, H, W)``, any number type; n = 1 if `batch` is.

        Returns:
            The outputs by name, in the model's order, float32.

        Raises:
            RunError: ONNX Runtime failed.
        """
        fed = np.ascontiguousarray(images, dtype=self._type)
        try:
            outputs = self._session.run(self._outputs, {self._input: fed})
        except Exception as error:  # ONNX Runtime has a class for each of its status codes
            raise RunError(
                f"{self.path}: ONNX Runtime failed on images {fed.shape}: {first_line(error)}"
            ) from error
        return {
            name: np.asarray(output, dtype=np.float32)
            for name, output in zip(self._outputs, outputs, strict=True)
        }

    def probe(self, input_size: tuple[int, int]) -> dict[str, Float32Array]:
        """The outputs for one black image, whose shapes a file need not declare; raises WeightsError."""
        try:
            return self.run(np.zeros((1, 3, *input_size), dtype=np.float32))
        except RunError as error:
            raise WeightsError(f"{error}\nExpected a model that takes one image of this size.") from error


def _session(path: Path, provider: Provider) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            f'ONNX Runtime is not installed ({error}).\npip install "crowdbench[onnx]"'
        ) from error
    form = require_whole(path, checksums=False)
    if form is not Form.ONNX:
        raise WeightsError(
            f"{path}: {form.value}; expected an ONNX model. Export it with its owner's tool; see "
            "docs/wrappers.md."
        )
    providers = [_available(provider, onnxruntime)]
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.load_model_format", "ONNX")
    with tempfile.TemporaryDirectory() as nowhere:
        # Tensors in other files are looked for here, where none are.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", nowhere)
        try:
            content = read_bytes(path, "an ONNX model", limit=LARGEST_WEIGHTS)
            session = onnxruntime.InferenceSession(content, options, providers=providers)
        except Exception as error:  # ONNX Runtime has a class for each of its status codes
            raise WeightsError(
                f"{path}: ONNX Runtime cannot load it ({first_line(error)}).\nExpected one whole ONNX file "
                "of standard operators: no tensors in files beside it, no operators of other libraries."
            ) from error
    if session.get_providers()[0] != _PROVIDERS[provider]:
        raise SettingsError(
            f"ONNX Runtime could not start {_PROVIDERS[provider]}, and would compute with "
            f"{session.get_providers()[0]}.\nPass --set provider=cpu, or mend its CUDA libraries."
        )
    log.info("ONNX Runtime %s with %s", onnxruntime.__version__, session.get_providers()[0])
    return session


def _available(provider: Provider, onnxruntime: Any) -> str:
    name = _PROVIDERS[provider]
    available = onnxruntime.get_available_providers()
    if name not in available:
        raise SettingsError(
            f"this ONNX Runtime has no {name}, only {', '.join(available)}.\n"
            "Pass --set provider=cpu, or install onnxruntime-gpu in place of onnxruntime."
        )
    return name


class OnnxMethod(Method):
    """A method whose ``--weights`` are an ONNX model; its settings have `input_size` and `provider`."""

    takes_weights: ClassVar[bool] = True
    tracked_packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    def __init__(self, keypoints: KeypointSet, settings: Any, name: str | None = None) -> None:
        super().__init__(keypoints, settings, name)
        self._model: OnnxModel | None = None

    def load_weights(self, weights: Path) -> None:
        """Load the model, and look at what it gives for a black image.

        Raises:
            InputError: ONNX Runtime is not installed.
            SettingsError: the model wants other settings.
            WeightsError: it is not a model for this method, or not for these keypoints.
        """
        model = OnnxModel(weights, self.settings.provider)
        model.require_size(self.settings.input_size)
        self.check(model, model.probe(self.settings.input_size))
        self._model = model

    @abstractmethod
    def check(self, model: OnnxModel, outputs: dict[str, Float32Array]) -> None:
        """Raise WeightsError if the outputs are not those of this method."""

    @property
    def model(self) -> OnnxModel:
        """The model; raises SettingsError if none was loaded."""
        if self._model is None:
            raise SettingsError(f"{self.name} has no model yet; give it an ONNX file: --weights FILE.")
        return self._model


def shown(outputs: dict[str, Float32Array]) -> str:
    """Names and shapes of outputs, for messages."""
    return ", ".join(f"{name} {output.shape}" for name, output in outputs.items()) or "none"
