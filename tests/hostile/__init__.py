"""Malformed files of every kind that is read, made by a script with a seed, and what the readers say to them.

`python -m tests.hostile` feeds the whole corpus and prints a table.
"""
