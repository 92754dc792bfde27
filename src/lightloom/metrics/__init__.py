"""Published measures that have their own rules."""
