"""Pages that hooks write: an image, its truth and what a model says of it."""
