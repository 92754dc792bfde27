"""Networks on meshes of MZIs as netlists and phase tables."""
