"""The plots of the report, each drawn from the records of a run folder."""
