"""How what a region is given enters it: integers, booleans, masks."""
