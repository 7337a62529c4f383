"""Operating-system services: files, processes, devices, signals, safe text."""
