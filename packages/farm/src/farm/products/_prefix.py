"""What the file names of a job may begin with."""

from farm_protocol.paths import UnsafePathError, canonical

from farm.products._parameters import Parameter
from farm.products.shared.farm_numbering import numbered, split


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that could name a file outside the output folder, or an unusable one.

    Raises:
        ValueError: with a message that says why.
    """
    if prefix.startswith("/"):
        raise ValueError(
            f"'{prefix}' must not begin with '/': it is relative to the output folder."
        )
    _head, hashes, tail = split(prefix)
    if "/" in tail and hashes:
        raise ValueError(
            f"'{prefix}' has the frame number in the name of a folder. Put it in the name of the"
            " file."
        )
    try:
        # The longest name that a frame number in Blender's range (7 digits and a sign) can give.
        canonical(numbered(prefix, -1_000_000) + ".jpeg")
    except UnsafePathError as error:
        raise ValueError(str(error)) from None


def check_file_name(parameter: Parameter, prefix: str) -> None:
    """Refuse a prefix that ends with a folder, where no frame number follows it.

    The file would be called ``.mp4``, which file managers hide.

    Raises:
        ValueError: with a message that says what to do.
    """
    if not prefix.rpartition("/")[2]:
        raise ValueError(
            f"{parameter.name} '{prefix}' does not end with a file name. Add one, as in"
            f" '{prefix}{parameter.default}', or leave {parameter.name} out."
        )
