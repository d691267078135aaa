"""From crops and a recipe to weights: one loop, what it reads, what moves the weights, what resumes it."""
