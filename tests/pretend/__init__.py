"""A CUDA device that does not exist: tensors say `cuda:0`, lie in the CPU's memory, and refuse what a GPU
refuses.

`tests/test_pretend.py` runs the files `check_*.py` of this folder in a process of their own, because the
device takes the place of the real one for good:
python -m pytest -p tests.pretend.plugin tests/pretend/check_*.py
"""
