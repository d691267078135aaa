"""Arrays to plotly figures, one module a subject; `style` holds what they share."""
