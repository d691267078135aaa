"""Layers, backbones, losses, the recipe that describes a run and the checkpoint that rebuilds a network."""
