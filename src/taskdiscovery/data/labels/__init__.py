"""Whose label is whose, what is a class, and what is missing."""
