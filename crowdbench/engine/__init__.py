"""Run methods: data loading, inference and calls of plugin code."""
