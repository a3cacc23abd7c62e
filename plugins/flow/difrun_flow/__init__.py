"""Rectified flow for difrun."""
