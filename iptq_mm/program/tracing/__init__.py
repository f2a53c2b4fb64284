"""Model code becomes a program."""
