"""Every method of this repository keeps the contract that strangers' methods are held to."""

from typing import ClassVar

import pytest

from crowdbench.testing import MethodContract

# The networks are the same with a twelfth of the pixels, and cost a twelfth.
SMALL = {"input_size": "64x64"}


class TestHRNetTiny(MethodContract):
    method, dataset = "hrnet-tiny", "synthcrowd"


class TestHRNetTinyTrained(TestHRNetTiny):
    weights = "published"


class TestI2RNetTiny(MethodContract):
    method, dataset = "i2rnet-tiny", "synthcrowd"


class TestI2RNetTinyTrained(TestI2RNetTiny):
    weights = "published"


@pytest.mark.slow
class TestHRNet(MethodContract):
    method, dataset = "hrnet-w48-s", "crowdpose"
    settings: ClassVar = SMALL


@pytest.mark.slow
class TestTransPose(MethodContract):
    method, dataset = "transpose-h", "crowdpose"
    settings: ClassVar = SMALL


@pytest.mark.slow
class TestHRFormer(MethodContract):
    method, dataset = "hrformer-b", "crowdpose"
    settings: ClassVar = SMALL


@pytest.mark.slow
class TestI2RNetVanilla(MethodContract):
    method, dataset = "i2rnet-vanilla", "crowdpose"
    settings: ClassVar = SMALL


@pytest.mark.slow
class TestI2RNetTransPose(MethodContract):
    method, dataset = "i2rnet-transpose", "crowdpose"
    settings: ClassVar = SMALL


@pytest.mark.slow
class TestI2RNetHRFormer(MethodContract):
    method, dataset = "i2rnet-hrformer", "crowdpose"
    settings: ClassVar = SMALL


class TestPINetTiny(MethodContract):
    method, dataset = "pinet-tiny", "synthcrowd"


class TestPINetTinyTrained(TestPINetTiny):
    weights = "published"


@pytest.mark.slow
class TestPINet(MethodContract):
    method, dataset = "pinet", "crowdpose"
    # A quarter of the pixels, in the same network.
    settings: ClassVar = {"short_side": 256, "longest_side": 4096}
