"""Programs that serve any number of rows, as the boxes of a detector are."""
