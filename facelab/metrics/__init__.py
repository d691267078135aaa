"""Metrics on arrays: verification, identification, calibration and geometry, without models or files."""
