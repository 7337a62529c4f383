"""What happens in a plugin's code is the plugin's, and a signal is not."""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from crowdbench.errors import PluginError, ShapeError, WeightsError
from crowdbench.system.plugin_calls import calling


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), StopIteration(), MemoryError()],
)
def test_whatever_a_plugin_raises_is_its_error(error: BaseException) -> None:
    with (
        pytest.raises(
            PluginError, match=rf"^mine: predict raised {type(error).__name__} on image 5"
        ) as caught,
        calling("mine", "predict", "image 5"),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert type(error).__name__ in caught.value.raised
    assert "raise error" in caught.value.trace


def test_errors_of_the_product_pass_but_for_shapes() -> None:
    with pytest.raises(WeightsError, match="^it does not fit$"), calling("mine", "load"):
        raise WeightsError("it does not fit")
    with (
        pytest.raises(PluginError, match="^mine: estimate: a pose must be finite$"),
        calling("mine", "estimate"),
    ):
        raise ShapeError("a pose must be finite")


def test_what_the_caller_can_handle_passes() -> None:
    with pytest.raises(MemoryError), calling("mine", "predict", passing=lambda e: isinstance(e, MemoryError)):
        raise MemoryError


def test_ctrl_c_is_no_error_of_the_plugin() -> None:
    with pytest.raises(KeyboardInterrupt), calling("mine", "predict"):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def stopping() -> Iterator[None]:
    def stop(*_: object) -> NoReturn:
        sys.exit(143)

    before = signal.signal(signal.SIGTERM, stop)
    yield
    assert signal.getsignal(signal.SIGTERM) is stop
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("stopping")
def test_being_told_to_stop_is_no_error_of_the_plugin() -> None:
    with pytest.raises(SystemExit, match="143"), calling("mine", "predict"):
        signal.raise_signal(signal.SIGTERM)


def test_another_thread_has_no_signals() -> None:
    found: list[BaseException] = []

    def call() -> None:
        try:
            with calling("mine", "prepare"):
                raise KeyboardInterrupt
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert isinstance(found[0], PluginError)


def test_what_is_printed_stays_out_of_the_commands_output(capsys: pytest.CaptureFixture[str]) -> None:
    with calling("mine", "begin"):
        sys.stdout.write("loading\n")
    assert capsys.readouterr() == ("", "loading\n")


def test_the_working_directory_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with calling("mine", "begin"):
        os.chdir("/")
    assert Path.cwd() == tmp_path
    assert "mine: begin changed the working directory to /" in caplog.text


def test_the_trace_survives_the_way_from_a_loader_worker() -> None:
    with pytest.raises(PluginError) as caught, calling("mine", "prepare", "image 1"):
        raise KeyError("box")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  (written a moment ago, here)
    assert (str(copy), copy.trace, copy.raised) == (
        str(caught.value),
        caught.value.trace,
        caught.value.raised,
    )
