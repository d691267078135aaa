"""Trained networks at work: embeddings, one-to-one verification, one-to-many identification, and why."""
