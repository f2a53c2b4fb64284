# Each calibration image once more, mirrored (`calibration.mirrored`): DeiT-Tiny with few
# bits, whose blocks learn for as many steps either way.
_base_ = '../_base_/calibration/held_out.py'
title = 'Mirrored calibration images: DeiT-Tiny'
notes = """
Every fifth of the 500 images for calibration evaluates, the other 400 calibrate: these
rows choose presets, so none of them looks at the images of the evaluation. Half as many
epochs of twice as many images are as many steps."""
_EPOCHS = 'quantization.reconstruction.epochs'
_IMAGES = {'quantization.calibration.num_images': 400}
_ROWS = {
    'each once': {
        **_IMAGES, _EPOCHS: 4
    },
    'mirrored, too': {
        **_IMAGES, 'quantization.calibration.mirrored': True,
        _EPOCHS: 2
    },
}
settings = [
    dict(
        name=f'{bits.upper()}: {name}',
        config=f'configs/deit/deit-tiny_{bits}_in1k-sample.py',
        options=options) for bits in ('w4a8', 'w4a4', 'w3a8', 'w6a6')
    for name, options in _ROWS.items()
]
