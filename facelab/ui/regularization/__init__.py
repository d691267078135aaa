"""The Regularization tab."""
