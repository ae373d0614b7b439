"""The market data host: one file per kind of data, each a set of functions from a call to an answer."""
