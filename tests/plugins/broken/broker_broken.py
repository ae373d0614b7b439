"""A plugin that cannot be imported."""

raise RuntimeError("the licence file is missing")
