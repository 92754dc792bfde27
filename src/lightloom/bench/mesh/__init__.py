"""Claims about meshes of MZIs."""
