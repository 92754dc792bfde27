"""Learning that only meshes of MZIs know: without a gradient, phase by phase."""
