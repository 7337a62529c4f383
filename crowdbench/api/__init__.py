"""The nouns that the bench, methods and datasets share."""
