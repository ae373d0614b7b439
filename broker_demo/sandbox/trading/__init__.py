"""The trading host: one file per resource, each a set of functions from a call to an answer."""
