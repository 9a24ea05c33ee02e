"""From what a caller names or holds to a listing of images, or to plain pixels."""
