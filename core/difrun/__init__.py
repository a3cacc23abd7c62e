"""difrun: diffusion models from plugins that any command or notebook wires together by name."""

__version__ = "0.1.0"
