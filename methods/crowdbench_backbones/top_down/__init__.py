"""Top-down methods: crops, augmentation, targets, losses, and the method around a network."""
