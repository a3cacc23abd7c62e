"""Guidance to a class."""
