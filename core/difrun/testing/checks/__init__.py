"""The rules of the conformance kit, one module per kind of component. Each rule is the docstring of its function."""
