"""Pictures of lattices and of their laws."""
