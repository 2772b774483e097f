"""What the server sends by itself: websockets and event streams."""
