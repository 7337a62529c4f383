"""HRNet, and the single-person pose networks that methods stand on; the networks are methods themselves."""

from crowdbench_backbones.methods import HRFormerB, HRNetTiny, HRNetW48S, TransPoseH

__all__ = ["HRFormerB", "HRNetTiny", "HRNetW48S", "TransPoseH"]
