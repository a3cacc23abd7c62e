"""Files that are written whole or not at all, and named tensors without pickle."""
