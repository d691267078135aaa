"""Published protocols on models and embeddings, and their reports."""
