"""The nouns that crowdbench, methods and datasets share."""
