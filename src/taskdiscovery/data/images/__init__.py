"""From the bytes of a file to a picture: one decoder, one scale, one cache for all readers."""
