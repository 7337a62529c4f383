"""I2R-Net: Intra- and Inter-Human Relation Network (Ding et al., IJCAI 2022)."""

from crowdbench_i2rnet.method import I2RNetHRFormer, I2RNetTiny, I2RNetTransPose, I2RNetVanilla

__all__ = ["I2RNetHRFormer", "I2RNetTiny", "I2RNetTransPose", "I2RNetVanilla"]
