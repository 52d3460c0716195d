"""What is shown: figures, tables, the HTML page."""
