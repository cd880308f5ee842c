"""Engines: where the Beam jobs run."""
