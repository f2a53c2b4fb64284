# As dead_leaves.py, for a detector. The size is that of a photograph of 4:3
# after Resize(scale=(1333, 800)); detectors pad it as they need.
dead_leaves = dict(
    dataset=dict(
        # Its whole path, so that nothing has to be imported before.
        type='iptq_mm.datasets.synthetic.NoiseImages',
        num_images=128,
        size=(800, 1067),
        pipeline=[dict(type='PackDetInputs')]))
