"""A run: its folder, its stages, and what calibration, mapping and learning mean on each technology."""
