"""The exceptions of `hou` [D]: `str()` is a general line and the message, which stands alone in
`instanceMessage`."""


class Error(Exception):
    """Base of all; as in Houdini, none of Python's own."""

    _general = "Houdini error."

    def __init__(self, message: str = "") -> None:
        """Keep what happened."""
        self._message = message
        super().__init__(f"{self._general}\n{message}" if message else self._general)

    def instanceMessage(self) -> str:
        """Return what happened."""
        return self._message

    def description(self) -> str:
        """Return the general line."""
        return self._general

    def exceptionTypeName(self) -> str:
        """Return the class's name."""
        return type(self).__name__


class OperationFailed(Error):
    """What most failures are."""

    _general = "The attempted operation failed."


class InvalidInput(OperationFailed):
    """An argument cannot be used."""

    _general = "Invalid input."


class LoadWarning(Error):
    """The scene is open, but something in it was not understood."""

    _general = "Warnings were generated during load."


class PermissionError(Error):
    """Locked, or not part of the current take."""

    _general = "Failed to modify node or parameter because of a permission error."


class NodeError(OperationFailed):
    """A node failed to cook."""

    _general = "The node failed to cook."
