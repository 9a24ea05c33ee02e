"""Views of images: what is looked at, one file each."""
