"""my-method: a top-down pose method for crowdbench."""

from .method import MyMethod

__all__ = ["MyMethod"]
