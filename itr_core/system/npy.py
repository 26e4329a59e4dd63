"""Append rows to a `.npy` file whose final number of rows is known when writing starts."""

from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy


def append_rows(file: BinaryIO, rows: np.ndarray, total: int) -> None:
    """Append rows to an open `.npy` file; if the file is empty, write the header first.

    Plain appends instead of a memory map: writing to a memory map on a full disk kills the process, while an
    append raises OSError.

    Args:
        file: opened for binary writing, positioned at its end.
        rows: (b, ...) array; trailing shape and dtype must be the same for every call on one file.
        total: number of rows that the complete file will have; the header states it.
    """
    if file.tell() == 0:
        header = {"descr": npy.dtype_to_descr(rows.dtype), "fortran_order": False}
        npy.write_array_header_1_0(file, header | {"shape": (total, *rows.shape[1:])})
    file.write(np.ascontiguousarray(rows).data)


def truncate_to_whole_rows(file: BinaryIO) -> int:
    """Remove an incomplete row from the end of a `.npy` file that `append_rows` was writing.

    If even the header is incomplete, the file is emptied. The position is at the end of the file afterwards.

    Args:
        file: opened for binary reading and writing.

    Returns:
        Number of complete rows in the file.
    """
    file.seek(0)
    try:
        npy.read_magic(file)
        shape, _, dtype = npy.read_array_header_1_0(file)
    except ValueError:  # incomplete header
        file.truncate(0)
        return file.seek(0)
    header, row = file.tell(), dtype.itemsize * int(np.prod(shape[1:]))
    rows = (file.seek(0, 2) - header) // row
    file.truncate(header + rows * row)
    file.seek(0, 2)
    return rows
