"""Arrays in, plotly figures out; usable from a notebook without the page."""
