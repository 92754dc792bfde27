"""The files of a run folder, each read and checked."""
