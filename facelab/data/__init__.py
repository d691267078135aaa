"""Crops by identity: folders, archives, lists of pairs, embeddings and rendered faces."""
