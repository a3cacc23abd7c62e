"""Plugins: hook specifications, discovery, and the registry of components."""

from difrun.plugin.packages import Plugin
from difrun.plugin.registered import Registered
from difrun.plugin.registry import Registry, get_registry, refresh

__all__ = ["Plugin", "Registered", "Registry", "get_registry", "refresh"]
