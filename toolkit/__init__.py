"""Text to image with every intermediate kept: the room that puts all the others together."""
