"""PINet, a bottom-up method: whole poses from body parts (Wang et al., NeurIPS 2021)."""

from crowdbench_pinet.method import PINet, PINetTiny

__all__ = ["PINet", "PINetTiny"]
