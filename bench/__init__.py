"""The benchmark: how fast a server that speaks the wire is, and how much memory it takes."""
