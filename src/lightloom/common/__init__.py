"""What every room shares: errors, whole-file writing, seeds, names, progress. Imports nothing of the house."""
