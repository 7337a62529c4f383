"""Networks with weights as drawn weights should be, for tests and benchmarks that need no golden numbers."""

import torch
from torch import nn


def with_drawn_weights(network: nn.Module) -> nn.Module:
    """Give batch norms statistics, and kernels such a size that maps neither vanish nor overflow, in place."""
    torch.manual_seed(0)
    for module in network.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=5**0.5)
    return network
