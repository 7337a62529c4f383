"""Plots, and skeletons drawn on images."""
