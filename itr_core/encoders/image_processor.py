"""Image processors of transformers, as the preprocessing settings of open_clip that do the same."""

from pathlib import Path
from typing import Annotated, Any, Literal

from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from pydantic import Field

from itr_core.encoders.foreign_json import Foreign, read_json, validate
from itr_core.encoders.model_files import ModelFiles
from itr_core.encoders.open_clip_config import ImageSize, PatchSize, Triple
from itr_core.errors import ModelError

IMAGE_CONFIG, PROCESSOR_CONFIG = "preprocessor_config.json", "processor_config.json"
_BILINEAR, _BICUBIC = 2, 3

Level = Annotated[float, Field(ge=-10, le=10)]


class _Size(Foreign):
    shortest_edge: ImageSize | None = None
    height: ImageSize | None = None
    width: ImageSize | None = None


class ImageProcessor(Foreign):
    """What an image processor does. None is the default of its model."""

    do_resize: Literal[True] = True
    size: ImageSize | _Size | None = None
    do_center_crop: bool | None = None
    crop_size: ImageSize | _Size | None = None
    resample: Literal[2, 3] | None = None
    do_rescale: Literal[True] = True
    rescale_factor: Annotated[float, Field(ge=0.0039, le=0.004)] = 1 / 255
    do_normalize: Literal[True] = True
    image_mean: Annotated[list[Level], Triple] | None = None
    image_std: Annotated[list[Annotated[float, Field(gt=0, le=10)]], Triple] | None = None
    patch_size: PatchSize | None = None
    max_num_patches: Annotated[int, Field(ge=1, le=65_536)] = 256


def read_image_processor(files: ModelFiles) -> tuple[ImageProcessor, Path]:
    """Read the image processor of a model; both forms that versions of transformers write are known.

    Raises:
        ModelError: There is none, or it needs custom code or does what is not accepted.
    """
    path = files.find(IMAGE_CONFIG) or files.file(PROCESSOR_CONFIG)
    content = read_json(path)
    if "auto_map" in content:
        raise ModelError(f"{path}: images need custom code of the repository (auto_map), which is never run.")
    content = content.get("image_processor", content)
    names = ImageProcessor.model_fields
    known = {key: value for key, value in content.items() if key in names and value is not None}
    return validate(ImageProcessor, known, path), path


def preprocessing(files: ModelFiles, model_type: str, image_size: int) -> dict[str, Any]:
    """Return the preprocessing settings of open_clip for a model with images of one size.

    Args:
        files: of the model.
        model_type: as in config.json; SigLIP has other defaults than CLIP.
        image_size: pixels per side that its image tower takes.

    Raises:
        ModelError: The image processor does something that these settings cannot express.
    """
    image, path = read_image_processor(files)
    siglip = model_type == "siglip"
    crops = (not siglip) if image.do_center_crop is None else image.do_center_crop
    resized, keeps_aspect = _sides(image.size, siglip, image_size)
    cropped = _sides(image.crop_size, True, image_size)[0] if crops else resized
    if not resized == cropped == (image_size, image_size) or (keeps_aspect and not crops):
        raise ModelError(
            f"{path}: images are resized to {resized} and cropped to {cropped}, but the tower takes "
            f"{image_size} x {image_size}. Only resizing to this size is known, with a crop of the same size "
            "or without."
        )
    return normalisation(image, model_type) | {"resize_mode": "shortest" if keeps_aspect else "squash"}


def normalisation(image: ImageProcessor, model_type: str) -> dict[str, Any]:
    """Return mean, standard deviation and interpolation as settings of open_clip."""
    siglip = model_type.startswith("siglip")
    resample = image.resample or (_BILINEAR if model_type == "siglip2" else _BICUBIC)
    return {
        "mean": image.image_mean or ([0.5] * 3 if siglip else list(OPENAI_DATASET_MEAN)),
        "std": image.image_std or ([0.5] * 3 if siglip else list(OPENAI_DATASET_STD)),
        "interpolation": "bilinear" if resample == _BILINEAR else "bicubic",
    }


def _sides(size: int | _Size | None, square: bool, default: int) -> tuple[tuple[int, int], bool]:
    """Return height and width, and whether only the shorter side gets this length."""
    if size is None or isinstance(size, int):
        return (size or default, size or default), not square
    if size.shortest_edge:
        return (size.shortest_edge, size.shortest_edge), True
    return (size.height or default, size.width or default), False
