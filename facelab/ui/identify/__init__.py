"""The Identify tab."""
