"""Learning on phase-change crossbars, which pays for what is written, and the orders of writing."""
