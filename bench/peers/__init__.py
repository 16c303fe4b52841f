"""Other servers of the same operations, to measure beside."""
