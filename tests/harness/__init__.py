"""Starts the real programs on a temporary root, against servers that are told what to answer."""
