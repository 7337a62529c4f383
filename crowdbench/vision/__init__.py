"""Geometry, heatmaps and non-maximum suppression, in numpy."""
