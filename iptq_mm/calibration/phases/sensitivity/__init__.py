"""What fewer bits at a site do to the outputs of its region."""
