"""Alpaca's wire, without I/O: calls and their answers, a file for each resource, and the conversations on its two kinds of socket."""
