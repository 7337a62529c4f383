"""Predict poses in images and videos that belong to no dataset, draw them, and write them to files.

Images are prepared, batched, predicted and decoded as in a run. With the same boxes, an image therefore gets
the poses that `crowdbench run` predicts for it.
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
