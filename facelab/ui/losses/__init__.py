"""The Losses tab."""
