"""Arrays in, numbers out: verification, identification, calibration, geometry; no model and no file."""
