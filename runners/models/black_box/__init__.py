"""Models behind a function, a program, a server or a folder of predictions."""
