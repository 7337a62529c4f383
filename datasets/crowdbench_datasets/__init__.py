"""The datasets that ship with crowdbench, each a `crowdbench.Dataset`."""
