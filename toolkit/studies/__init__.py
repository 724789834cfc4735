"""Questions that need several rooms: generate, discover, steer, audit, verify, and the demo."""
