"""Image series from files: format, axes, units and times, and what no phase field can be fitted to."""
