# W8A8 for a model that nobody has tried: 16 calibration images choose no ranges but judge
# them, and ranges that lose there against min-max or wider percentiles are not used.
# Models with massive values need it; the others lose nothing but time
# (benchmarks/outliers.py). Large images take too long: detectors have w8a8.py.
_base_ = './w8a8.py'
quantization = dict(activation=dict(guard_images=16))
