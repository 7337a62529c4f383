"""Damages files as people, tools and disks do, and watches what becomes of them.

``python -m fuzzing --minutes 60`` from ``tests/`` runs for as long as is asked for; tests/fuzz is the short run.
The only outcomes that pass: the right number, a number with a warning, one clear error.
"""
