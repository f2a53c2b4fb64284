# As optimized.py, for a detector; the images are made with --size HEIGHT WIDTH.
optimized = dict(
    dataset=dict(
        type='mmengine.dataset.BaseDataset',
        data_root='data/optimized',
        ann_file='images.json',
        pipeline=[
            dict(type='LoadImageFromFile'),
            # Detectors want to know the scale.
            dict(type='Resize', scale_factor=1.0),
            dict(type='PackDetInputs')
        ]))
