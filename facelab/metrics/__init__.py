"""Arrays in, numbers out: the protocols by which papers judge embeddings."""
