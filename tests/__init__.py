"""Tests; they mirror the rooms of facelab/."""

import os

# Tests compare on one device, the CPU, also where there is a GPU; benchmarks/gpu.py is the proof for a card.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
