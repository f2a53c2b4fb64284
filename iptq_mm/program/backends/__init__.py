"""What runs programs: one folder or file for each way."""
