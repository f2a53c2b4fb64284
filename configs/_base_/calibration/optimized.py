# Calibration of a classifier on images that were made from its weights by
#     python tools/make_calibration_images.py CONFIG CHECKPOINT --out data/optimized
# A config that inherits this says
#     quantization = dict(calibration=dict(dataloader={{_base_.optimized}}))
optimized = dict(
    dataset=dict(
        type='mmengine.dataset.BaseDataset',
        data_root='data/optimized',
        ann_file='images.json',
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='PackInputs')]))
