"""HRNet and the single-person pose networks, which are methods themselves and the base of others."""

from crowdbench_backbones.methods import HRFormerB, HRNetTiny, HRNetW48S, TransPoseH

__all__ = ["HRFormerB", "HRNetTiny", "HRNetW48S", "TransPoseH"]
