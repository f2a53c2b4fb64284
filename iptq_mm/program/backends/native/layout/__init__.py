"""Where the integers of a native program lie."""
