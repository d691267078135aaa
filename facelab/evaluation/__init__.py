"""Published protocols on models and embeddings, and the reports that are written from them."""
