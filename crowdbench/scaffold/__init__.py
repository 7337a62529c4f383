"""A package for a method of your own, written from templates."""
