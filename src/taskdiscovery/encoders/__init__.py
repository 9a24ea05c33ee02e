"""Encoders: images in, coordinates and classes out. An encoder *is* its tasks."""
