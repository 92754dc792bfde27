"""Networks on phase-change crossbars as levels of their cells."""
