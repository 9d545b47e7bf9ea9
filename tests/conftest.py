"""Checks the shapes in jaxrnn's signatures while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("jaxrnn", "beartype.beartype")
