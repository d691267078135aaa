"""Components that several tabs use: charts, photo inputs, cards, controls."""
