"""From an image file, whatever it is, to uint8 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from novelty.errors import NoveltyError

SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pbm"]
)
"""Names that are taken for images (in any case); what is inside is then judged by content."""

_ORIENTATION = 0x0112


class BrokenImage(NoveltyError):
    """A file that is called an image and cannot be read as one."""


def decode(path: Path | str | IO[bytes], channels: int) -> np.ndarray:
    """The image in a file (or an open one) as (H, W, channels) uint8, channels 1 or 3, upright as its EXIF tag says.

    Opened by content, not by name. Palettes are resolved, 16-bit grey is scaled to 8 bits, transparency is dropped (the
    colours under it stay, as in torchvision's loader), the first frame of several counts. Raises BrokenImage.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            upright: Image.Image = image
            if image.getexif().get(_ORIENTATION, 1) != 1:
                upright = ImageOps.exif_transpose(image)
            return _pixels(upright, channels)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        reason = "its content is no image"
    except Exception as error:  # on damaged files PIL raises nearly anything, SyntaxError included
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    raise BrokenImage(f"{path} cannot be read as an image ({reason}): repair or remove it.")


def _pixels(image: Any, channels: int) -> np.ndarray:
    """Raises ValueError where the range of the pixels is anyone's guess."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], channels, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits and no known range: make them 8 or 16")
    if image.mode in ("P", "PA"):  # by way of RGBA: a palette with transparency would warn
        image = image.convert("RGBA")
    if image.mode != mode:
        image = image.convert(mode)
    pixels = np.asarray(image)
    return pixels[..., None] if channels == 1 else pixels


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(..., C) uint8 as (..., channels): grey is repeated, colour becomes ITU-R 601 luma, rounded as PIL does."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    weights = np.array([19595, 38470, 7471], dtype=np.uint32)  # PIL's 0.299, 0.587, 0.114 in units of 1 / 65536
    return ((pixels.astype(np.uint32) @ weights + 32768) >> 16).astype(np.uint8)[..., None]
