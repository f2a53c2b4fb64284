# The presets against naive settings on the models of the demo: its classifiers, and
# its Cascade Mask R-CNN with a small Swin.
title = 'The small models of the demo'
notes = """
*naive* is min-max ranges, rounding to nearest and none of the parts of the presets.

Images are normalized and quantized here (`pixels=False`)."""
options = {'quantization.pixels': False}

_NAIVE = {
    'quantization.equalization': [],
    'quantization.weight.observer': dict(_delete_=True, type='minmax'),
    'quantization.weight.rounding': dict(_delete_=True, type='nearest'),
    'quantization.weight.bias_correction': False,
    'quantization.activation.observer': dict(_delete_=True, type='minmax'),
    'quantization.activation.search_images': 0,
}
#: As many images as the presets have; `make demo` takes fewer.
_IMAGES = 'quantization.calibration.num_images'
_CONFIGS = {
    'ViT, W8A8': 'configs/demo/vit_demo_w8a8.py',
    'Swin, W8A8': 'configs/demo/swin_demo_w8a8.py',
    'Cascade Mask R-CNN, W8A8': 'configs/demo/swin_cascade_demo_w8a8.py',
    'Cascade Mask R-CNN, W4A8': 'configs/demo/swin_cascade_demo_w4a8.py',
}

settings = [
    dict(
        name=f'{model}: {name}',
        config=config,
        options={
            _IMAGES: 500 if 'W4' in model else 128,
            **options
        })
    for model, config in _CONFIGS.items()
    for name, options in (('the preset', {}), ('naive', _NAIVE))
]
