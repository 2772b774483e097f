"""What the servers under measurement serve, and the servers that have no command of their own."""
