"""A file becomes pixels, pixels become faces, a face becomes an aligned 112x112 crop."""
