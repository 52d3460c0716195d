"""Reports: figures, tables, the HTML page."""
