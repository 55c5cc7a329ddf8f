"""OpenSymphony: a daemon that turns tickets into reviewed changes."""

__version__ = "0.1.0"
