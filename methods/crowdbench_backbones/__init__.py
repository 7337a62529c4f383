"""HRNet, and the single-person pose networks that methods stand on; the networks are methods themselves."""

from crowdbench_backbones.methods import HRFormerB, HRNetW48S, TransPoseH

__all__ = ["HRFormerB", "HRNetW48S", "TransPoseH"]
