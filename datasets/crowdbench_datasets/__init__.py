"""The datasets that come with crowdbench, each a `crowdbench.Dataset`."""
