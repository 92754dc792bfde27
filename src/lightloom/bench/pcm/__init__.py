"""Claims about phase-change crossbars."""
