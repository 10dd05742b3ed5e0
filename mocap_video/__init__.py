"""Metric 3D motion of people from one fixed, calibrated camera."""

__version__ = "0.1.0.dev0"
