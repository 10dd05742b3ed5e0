"""Makers of small synthetic inputs for tests; imported as ``synth`` (pytest's ``pythonpath`` in pyproject.toml)."""
