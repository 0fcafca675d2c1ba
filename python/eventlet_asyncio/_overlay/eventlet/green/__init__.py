"""Cooperative versions of standard library modules, under the same names."""
