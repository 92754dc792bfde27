"""What a run came to, in one file."""
