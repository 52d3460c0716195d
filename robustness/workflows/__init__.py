"""What a user does, one file for each."""
