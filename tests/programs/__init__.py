"""Scripts that tests run as processes of their own: to be killed, or to train as two."""
