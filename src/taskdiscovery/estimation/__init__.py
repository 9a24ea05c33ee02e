"""What accuracy would be on images that nobody labelled, told from what runs say of them."""
