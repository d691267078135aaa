"""How fast a run is, and when it will end."""

import time


class Pace:
    """Images per second, and the time that is left."""

    def __init__(self, done: int, steps: int) -> None:
        self.done, self.steps, self.started = done, steps, time.perf_counter()
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self.images, self.epoch_started = 0, time.perf_counter()

    def after(self, step: int, images: int) -> tuple[float, float]:
        now = time.perf_counter()
        self.images += images
        left = (now - self.started) / (step - self.done) * (self.steps - step)
        return self.images / (now - self.epoch_started), left
