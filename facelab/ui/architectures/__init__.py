"""The Architectures tab."""
