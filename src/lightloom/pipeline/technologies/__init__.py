"""What calibration, mapping and learning mean on each technology."""
