# W8A8 for what has to be near the float model: as many inputs of linear layers as it takes
# have 16 bits, until rounding the others leaves 31 dB at the outputs (22 in w8a8.py), or
# as much as the products of two values allow. Weights are rounded by what the outputs
# depend on.
_base_ = './w8a8_guarded.py'
quantization = dict(weight=dict(guided=True), activation=dict(least_db=31.0))
