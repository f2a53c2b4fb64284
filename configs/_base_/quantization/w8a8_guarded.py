# W8A8 for a model that nobody has tried: 16 calibration images choose no ranges but judge
# them, and ranges that lose there against min-max or wider percentiles are not used.
# Models with massive values need it; the others lose nothing but time
# (benchmarks/outliers.py). Large images take too long: detectors have w8a8.py.
_base_ = './w8a8.py'
quantization = dict(
    activation=dict(
        guard_images=16,
        # Chosen on held-out images of DeiT-Tiny: there 8 bits leave 23.6 dB at the outputs
        # of the backbone. 28 take 4 to 8 of 48 inputs.
        least_db=28.0))
