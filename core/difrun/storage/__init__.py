"""Files that are written completely or not at all, and named tensors without pickle."""
