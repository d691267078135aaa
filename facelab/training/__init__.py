"""Training: from crops and a recipe to weights; loop, batches, optimizers and resuming."""
