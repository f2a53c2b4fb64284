"""One program for any number of rows, as of boxes."""
