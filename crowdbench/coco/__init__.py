"""The COCO format: boxes, categories, keypoint names and ids, and the rules for them."""
