"""editharness: what knowledge editing really does to a language model."""

from editharness.hooks import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]
