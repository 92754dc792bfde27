"""The ground floor: what light and devices do, as pure functions on tensors.

Every function states its shapes, units and source. Nothing here keeps state or reads a configuration, and
nothing but torch, NumPy, SciPy and the standard library is imported.
"""
