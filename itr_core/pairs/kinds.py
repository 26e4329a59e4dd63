"""What the files of a folder are, by their names: images, files that are not read, and files of systems."""

from pathlib import PurePosixPath

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".gif",
    ".bmp", ".dib", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif",
)  # fmt: skip
"""Suffixes of images. Files with other suffixes are read, too, if their content is an image."""

_RAW = """.cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .rw2 .orf .pef .srw .x3f .erf .kdc .dcr .mrw .raw
.rwl .iiq .3fr .fff .mef .mos .gpr"""
_VIDEO = ".mp4 .mov .avi .mkv .webm .m4v .3gp .3g2 .mts .m2ts .wmv .flv .mpg .mpeg .ogv .vob .insv .lrv .braw"
_DRAWN = """.psd .psb .ai .eps .svg .svgz .xcf .kra .ico .icns .cur .jp2 .j2k .jpf .jpx .jpm .jxl .jxr .wdp
.tga .ppm .pgm .pbm .pnm .hdr .exr .dds .pcx .qoi .fits .fit .dcm .pdf
.indd .sketch .clip .wmf .emf .djvu .cdr"""
_ARCHIVE = ".zip .tar .tgz .gz .tbz2 .bz2 .txz .xz"
_UNREAD_ARCHIVE = ".zst .7z .rar"
_REASONS = {
    suffix: reason
    for suffixes, reason in (
        (_RAW, "a RAW photo, which is not read; export it as JPEG"),
        (_VIDEO, "a video; only images are read"),
        (_DRAWN, "an image format that is not read; convert it to JPEG or PNG"),
        (_ARCHIVE, "an archive; pass it as a source of its own, or unpack it"),
        (_UNREAD_ARCHIVE, "an archive that is not read; unpack it"),
        (".parquet .arrow .feather", "a table; pass it as a source of its own"),
    )
    for suffix in suffixes.split()
}
_TEXTS = (".txt", ".caption", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".md", ".html", ".npy", ".npz")

_SYSTEM = frozenset(
    (
        "@eadir", "@tmp", "@sharebin", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot",
        "$recycle.bin", "recycler", "system volume information", "lost+found", "__macosx", "icon\r",
        "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "iconcache.db",
    )
)  # fmt: skip


def is_of_system(name: str) -> bool:
    """Tell whether a file or folder of this name is hidden, or made by an operating system or a NAS."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def has_image_suffix(path: PurePosixPath) -> bool:
    """Tell whether the suffix is one of `SUFFIXES`, in upper or lower case."""
    return path.suffix.lower() in SUFFIXES


def unread_reason(path: PurePosixPath) -> str | None:
    """Return why a photo, video, drawing, archive or table is not read, or None for other files.

    People expect to find these, so that each is named.
    """
    return _REASONS.get(path.suffix.lower())


def may_be_image(path: PurePosixPath) -> bool:
    """Tell whether the content of a file without the suffix of an image may be one."""
    return unread_reason(path) is None and path.suffix.lower() not in _TEXTS


def has_image_signature(start: bytes) -> bool:
    """Tell whether the first 16 bytes are those of a JPEG, PNG, WebP, GIF, AVIF or HEIC file."""
    return (
        start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or (start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"heic", b"heix", b"mif1"))
    )
