"""Packages for new methods, written from templates."""
