"""From a file to pixels, from pixels to faces, from a face to an aligned 112x112 crop."""

CROP_SIZE = 112  # pixels of a crop's side
