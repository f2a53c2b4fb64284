"""Programs in the place of regions, and programs alone."""
