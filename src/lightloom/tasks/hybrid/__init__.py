"""Backbones of detectors, of which light computes some stages, as a config asks for them."""
