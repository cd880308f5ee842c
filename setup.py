"""Builds the package `twinbeam`, for people and for Beam's workers (`--setup_file`); pyproject.toml says what is in it.

It names no dependencies: workers have them from their image, which is built from uv.lock. pip could not resolve them
again, for it has no overrides.
"""

from setuptools import setup

setup()
