"""Every figure that we claim, measured by a command that prints JSON."""
