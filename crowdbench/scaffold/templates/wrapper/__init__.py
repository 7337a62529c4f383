"""my-method: a pose model that is not PyTorch, for crowdbench."""

from .method import MyMethod

__all__ = ["MyMethod"]
