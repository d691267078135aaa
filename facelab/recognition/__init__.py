"""Trained networks in use: embeddings, 1:1 verification, 1:N identification, and explanations."""
