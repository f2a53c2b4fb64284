# Calibration of a classifier without any image of its training set: textured
# shapes that hide one another, sampled with the mean and standard deviation of
# ImageNet. A config that inherits this says
#     quantization = dict(calibration=dict(dataloader={{_base_.dead_leaves}}))
dead_leaves = dict(
    dataset=dict(
        # Its whole path, so that nothing has to be imported before.
        type='iptq_mm.datasets.synthetic.NoiseImages',
        num_images=128,
        size=(224, 224),
        pipeline=[dict(type='PackInputs')]))
