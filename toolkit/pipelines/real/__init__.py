"""Public checkpoints in diffusers' folder layout, drawn by our own loops, every step kept."""
