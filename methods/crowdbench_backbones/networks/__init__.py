"""Networks: their modules, the start from pretrained weights, and what makes them faster."""
