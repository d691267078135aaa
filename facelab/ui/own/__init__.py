"""The tab for a visitor's own models, embeddings and photos."""
