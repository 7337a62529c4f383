"""Trunks that several methods stand on."""
