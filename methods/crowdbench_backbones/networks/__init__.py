"""Networks, their initialization from pretrained weights, and their optimization for inference."""
