"""my-method: a bottom-up pose method for crowdbench."""

from .method import MyMethod

__all__ = ["MyMethod"]
