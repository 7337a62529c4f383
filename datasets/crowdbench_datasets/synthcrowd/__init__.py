"""synthcrowd: crowds of drawn people, generated on the machine from a seed."""

from crowdbench_datasets.synthcrowd.dataset import SynthCrowd

__all__ = ["SynthCrowd"]
