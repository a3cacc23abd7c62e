"""Pictures of lattices and of their distributions."""
