"""Meshes of interferometers on the bench: the instrument, what identifies a chip, and what maps weights onto it."""
