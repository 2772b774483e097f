"""The rules of requests as a table of raw bytes and their results, with a module per subject."""
