"""The Transfer tab."""
