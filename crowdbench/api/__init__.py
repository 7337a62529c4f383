"""The types and interfaces that crowdbench, methods and datasets share."""
