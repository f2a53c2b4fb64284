# The test images of ImageNet (ILSVRC 2012), without labels, for tools/submit.py --data.
# The pipeline is that of the model.
test_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmpretrain.ImageNet',
        data_root='data/imagenet',
        split='test',
        test_mode=True))
