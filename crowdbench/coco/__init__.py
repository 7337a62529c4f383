"""What COCO's format means: boxes, categories, keypoint names and ids, and what they cannot be."""
