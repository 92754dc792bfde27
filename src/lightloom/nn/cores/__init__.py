"""Tensor cores, one file a technology. The class of a core is named by the record of its technology."""
