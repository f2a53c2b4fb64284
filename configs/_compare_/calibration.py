# How much the choice of the calibration images matters, by their number: the
# W8A8 preset of DeiT-Tiny on its sample of ImageNet.
title = 'Calibration images: DeiT-Tiny, W8A8'
notes = """
The seed decides which of the 500 images for calibration are taken. All 500 can be
taken in one way only.

Images are normalized and quantized here (`pixels=False`)."""
options = {
    'quantization.pixels': False,
    'quantization.activation.guard_images': 0,
}

base = 'configs/deit/deit-tiny_w8a8_in1k-sample.py'
grid = [
    {'quantization.calibration.num_images': [8, 32, 128], 'seed': range(5)},
    {'quantization.calibration.num_images': [500], 'seed': [0]},
]
