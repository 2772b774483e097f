"""What makes a release of the packages; CONTRIBUTING.md ("Release") is the way through it."""
