"""What the words of medicine name: anatomy, findings, instruments, and the words that modify them."""
