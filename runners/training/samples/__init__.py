"""What a network is trained on: cases at network size, and what is drawn for each of them."""
