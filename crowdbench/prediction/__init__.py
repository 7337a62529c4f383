"""Poses of pictures and videos that belong to no dataset, drawn and written down.

Pictures go the way that a dataset's images go in a run: the same preparation, batches, network and decoding.
An image that is given with the same boxes therefore has the poses that `crowdbench run` gives it.
"""

from crowdbench.prediction.box_files import BoxProvider, NoBoxProvider, boxes_for
from crowdbench.prediction.image_names import ImageIds
from crowdbench.prediction.output_files import Output
from crowdbench.prediction.predict import predict
from crowdbench.prediction.predictor import Estimator, dataset_for
from crowdbench.prediction.results import PredictionResult
from crowdbench.prediction.sources import Source, find_sources

__all__ = [
    "BoxProvider",
    "Estimator",
    "ImageIds",
    "NoBoxProvider",
    "Output",
    "PredictionResult",
    "Source",
    "boxes_for",
    "dataset_for",
    "find_sources",
    "predict",
]
