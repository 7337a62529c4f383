"""synthcrowd: synthetic crowds of drawn figures, generated locally from a seed."""

from crowdbench_datasets.synthcrowd.dataset import SynthCrowd

__all__ = ["SynthCrowd"]
