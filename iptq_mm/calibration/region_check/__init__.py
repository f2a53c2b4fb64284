"""Whether an integer region does what its plan lets one expect."""
