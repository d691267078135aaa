"""Style common to all figures.

Colors are Okabe and Ito's, which color-blind readers can distinguish; every mark also differs in dash, shape
or label. Colors of backgrounds and text are not set: the page's chart component takes them from its light or
dark theme.
"""

GENUINE, IMPOSTOR, SCORE = "#0072B2", "#D55E00", "#009E73"
MARGIN = {"l": 8, "r": 24, "t": 44, "b": 44}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
