"""The field's file formats, each read as one stream of image files with their identities.

`opened.open_labeled` recognizes what a path is; every reader believes a header only after it has held it
against the file, and holds one image at a time. `write` turns a stream into folders, a zip, a crop file,
RecordIO or Parquet without decoding an image.
"""
