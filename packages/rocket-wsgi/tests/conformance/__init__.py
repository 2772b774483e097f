"""What is accepted and what is refused, byte by byte, in a table split by subject."""
