// Images in another size, with the pixels that Pillow makes.
#pragma once

#include "array.h"

// The shorter edge becomes `edge`.
void resize_edge(Array& image, int edge, bool bilinear);

// The middle of an image; false if it is smaller than that.
bool crop_middle(Array& image, int64_t height, int64_t width);
