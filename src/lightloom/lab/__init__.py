"""A chip on the bench: instruments, calibration, mapping. Nothing here sees a chip but through an `Instrument`."""
