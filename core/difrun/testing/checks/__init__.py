"""The rules of the conformance kit, one module per kind of component. A function's docstring states its rule."""
