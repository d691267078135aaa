"""The Embedding space tab."""
