"""Where faces come from: folders and zips of photographs, pairs files, rendered faces."""
