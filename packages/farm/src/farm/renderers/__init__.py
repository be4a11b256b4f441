"""Which renderers this machine has. A leaf package: it imports nothing of ours."""

from farm.renderers.discover import (
    Renderer,
    RendererError,
    choose,
    find_renderers,
    iter_renderers,
)

__all__ = ["Renderer", "RendererError", "choose", "find_renderers", "iter_renderers"]
