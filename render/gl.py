"""Off-screen OpenGL through pyrender: the only file of the project that touches it.

PyOpenGL fixes its platform at its first import, so the platform is probed and chosen before that, on first use, and
never when this module is imported. The context is one for the process: closing an EGL display closes it for everyone
who opened the same device. It belongs to the thread that drew first.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import importlib
import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mocap_video.errors import MissingExtra, MocapVideoError
from mocap_video.render.mesh import Topology

if TYPE_CHECKING:
    from typing_extensions import Self

_LOG = logging.getLogger(__name__)
_ADVICE = (
    "On Debian or Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri (software rendering, no display needed); "
    "libosmesa6 serves as well where EGL is barred."
)
_EGL_PLATFORM_DEVICE_EXT = 0x313F
_OSMESA_ATTRIBUTES = (0x22, 0x1908, 0x30, 24, 0x33, 0x34, 0x36, 3, 0x37, 3, 0)
"""Format RGBA, 24 depth bits, core profile, version 3.3: names and values from GL/osmesa.h."""

NEAR_M, FAR_M = 0.05, 1000.0
"""Surfaces outside this range of depths (metres) are not drawn."""

_SIZE_STEP = 64

_SOFTNESS_PX = 0.7
"""How far an edge is spread over neighbouring pixels (standard deviation)."""

_EDGE_SHARE = 0.01
"""An edge is where depth differs by more than this share within 3 x 3 px: steeper surfaces show only at silhouettes."""


@dataclass(frozen=True)
class ScreenMesh:
    """A mesh laid out on an image.

    ``xy (N,2)`` px, top-left pixel centre (0, 0); ``depth (N)`` m, a triangle with a depth below ``NEAR_M`` is left
    out; ``rgba (N,4)`` 0..1, written as given (no light, no blending: multiply RGB by the opacity beforehand).
    """

    xy: np.ndarray
    depth: np.ndarray
    rgba: np.ndarray
    topology: Topology


def _egl_device() -> tuple[int | None, str]:
    """Return the number of the first EGL device that opens, or None, and what was found or went wrong."""
    name = ctypes.util.find_library("EGL")
    if name is None:
        return None, "libEGL is not installed"
    egl = ctypes.CDLL(name)
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    addresses = [egl.eglGetProcAddress(f.encode()) for f in ("eglQueryDevicesEXT", "eglGetPlatformDisplayEXT")]
    if not all(addresses):
        return None, f"{name} lacks device enumeration"
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(addresses[0])
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(addresses[1])
    egl.eglInitialize.argtypes = [ctypes.c_void_p] * 3
    devices, count = (ctypes.c_void_p * 16)(), ctypes.c_int()
    if not query(16, devices, ctypes.byref(count)) or count.value == 0:
        return None, f"{name} finds no device"
    wanted = os.environ.get("EGL_DEVICE_ID")
    for number in range(count.value) if wanted is None else [int(wanted)]:
        display = get_display(_EGL_PLATFORM_DEVICE_EXT, devices[number], None) if number < count.value else None
        if display and egl.eglInitialize(display, None, None):
            return number, f"{name}, device {number}"
    return None, f"none of {count.value} devices of {name} can be opened (EGL_DEVICE_ID={wanted})"


def _osmesa_library() -> tuple[str | None, str]:
    name = ctypes.util.find_library("OSMesa")
    return name, name or "libOSMesa is not installed"


def _choose_backend() -> str:
    """Choose the platform of PyOpenGL: what PYOPENGL_PLATFORM says, else EGL where a device opens, else OSMesa."""
    wanted = os.environ.get("PYOPENGL_PLATFORM")
    if wanted not in (None, "egl", "osmesa"):
        raise MocapVideoError(f"PYOPENGL_PLATFORM: expected egl, osmesa or unset, got {wanted!r}. Unset it and retry.")
    if wanted is None and "OpenGL.platform" in sys.modules:
        raise MocapVideoError(
            "OpenGL was imported before its platform was chosen. Set PYOPENGL_PLATFORM=egl and retry."
        )
    egl, egl_found = _egl_device()
    osmesa, osmesa_found = _osmesa_library()
    if wanted != "osmesa" and egl is not None:
        choice = "egl"
    elif wanted != "egl" and osmesa is not None:
        choice = "osmesa"
        if wanted is None:
            _LOG.warning("EGL cannot be used (%s); rendering through OSMesa", egl_found)
    else:
        raise MissingExtra(f"No off-screen OpenGL. EGL: {egl_found}. OSMesa: {osmesa_found}. {_ADVICE}")
    os.environ["PYOPENGL_PLATFORM"] = choice
    return choice


class _OSMesaContext:
    """An OpenGL 3.3 core context of OSMesa; pyrender's own needs a newer PyOpenGL than pyrender lets one install."""

    def __init__(self) -> None:
        from OpenGL import platform

        library: Any = vars(platform)["PLATFORM"]  # set while it is imported
        # PyOpenGL keeps data by context and needs a number that it can hash; its own declaration gives a pointer.
        library.GetCurrentContext.restype = ctypes.c_void_p
        create = library.OSMesa.OSMesaCreateContextAttribs
        create.restype = ctypes.c_void_p
        create.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._make_current = library.OSMesa.OSMesaMakeCurrent
        self._make_current.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_int]
        self._handle = create((ctypes.c_int * len(_OSMESA_ATTRIBUTES))(*_OSMESA_ATTRIBUTES), None)
        self._buffer = (ctypes.c_ubyte * (4 * 4 * 4))()  # its own surface is never drawn on

    def make_current(self) -> None:
        unsigned_byte = 0x1401
        if not self._handle or not self._make_current(self._handle, self._buffer, unsigned_byte, 4, 4):
            raise MocapVideoError(f"OSMesa gives no OpenGL 3.3 context. {_ADVICE}")


@functools.lru_cache(maxsize=1)
def _context() -> tuple[Any, str]:
    """Open the process's context; return it and its description."""
    backend = _choose_backend()
    if backend == "osmesa":
        context: Any = _OSMesaContext()
        context.make_current()
    else:
        from pyrender.platforms import egl

        number = _egl_device()[0] or 0
        context = egl.EGLPlatform(1, 1, device=egl.get_device_by_index(number))
        try:
            context.init_context()
        except Exception as error:  # PyOpenGL raises its own classes, generated at run time
            raise MissingExtra(f"EGL opens but gives no OpenGL 4.1 context ({error}). {_ADVICE}") from error
    from OpenGL import GL

    renderer: Any = GL.glGetString(GL.GL_RENDERER)
    description = f"{backend}: {renderer.decode()}"
    _LOG.info("off-screen OpenGL through %s", description)
    return context, description


def load_ahead() -> None:
    """Import what drawing needs in a thread of its own. What goes wrong is said when drawing begins."""

    def load() -> None:
        with contextlib.suppress(MocapVideoError, ImportError):
            _choose_backend()
            importlib.import_module("pyrender")

    threading.Thread(target=load, name="graphics libraries").start()


def backend_name() -> str:
    """Return what draws, such as ``egl: llvmpipe (LLVM 15.0.6, 256 bits)``; opens the context on the first call."""
    return _context()[1]


def _softened(rgba: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Blur ``rgba (h,w,4)`` uint8 in place where ``depth (h,w)`` m, 0 for nothing, has an edge; return it.

    Every pixel that a blur of 3 x 3 px would mix across an edge is blurred, and no other.
    """
    filled = np.where(depth > 0, depth, np.float32(2 * FAR_M))
    window = np.ones((3, 3), np.uint8)
    edges = cv2.dilate(filled, window) > cv2.erode(filled, window) * np.float32(1 + _EDGE_SHARE)
    return cv2.copyTo(cv2.GaussianBlur(rgba, (3, 3), _SOFTNESS_PX), edges.view(np.uint8), rgba)


@functools.lru_cache(maxsize=1)
def _crop_renderer() -> Any:
    """Return pyrender's renderer, made to read back and convert only the part of its buffer that is wanted.

    A class, not a method put on an instance: that would be a reference cycle, and pyrender's finalizers, run late by
    the garbage collector, delete OpenGL names that are in use again.
    """
    import pyrender
    from OpenGL import GL

    class CropRenderer(pyrender.Renderer):
        crop = (0, 0)

        def _read_main_framebuffer(self, scene: Any, flags: int) -> tuple[np.ndarray, np.ndarray]:
            """Return ``rgba`` and ``depth`` of the buffer's top-left ``crop`` (w, h) px, as ``Canvas.draw`` does."""
            del scene, flags  # always ours
            (width, height), foot = self.crop, self.viewport_height - self.crop[1]  # OpenGL counts rows from the foot
            GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb)
            rgba = np.empty((height, width, 4), np.uint8)
            window = np.empty((height, width), np.float32)
            GL.glReadPixels(0, foot, width, height, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, array=rgba)
            GL.glReadPixels(0, foot, width, height, GL.GL_DEPTH_COMPONENT, GL.GL_FLOAT, array=window)
            depth = np.float32(NEAR_M * FAR_M) / (np.float32(FAR_M) - window * np.float32(FAR_M - NEAR_M))
            depth *= window < 1  # 1 is the far plane: nothing was drawn
            depth = cv2.flip(depth, 0)
            return _softened(cv2.flip(rgba, 0), depth), depth

        def _configure_main_framebuffer(self) -> None:
            """Make the buffer without pyrender's multisampling, whose one name then stands for both buffers."""
            size = (self.viewport_width, self.viewport_height)
            if self._main_fb is not None and self._main_fb_dims == size:
                return
            self._delete_main_framebuffer()
            self._main_fb = self._main_fb_ms = GL.glGenFramebuffers(1)
            self._main_cb, self._main_db = GL.glGenRenderbuffers(2)
            self._main_cb_ms, self._main_db_ms = self._main_cb, self._main_db
            GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, self._main_fb)
            for buffer, form, use in (
                (self._main_cb, GL.GL_RGBA8, GL.GL_COLOR_ATTACHMENT0),
                (self._main_db, GL.GL_DEPTH_COMPONENT24, GL.GL_DEPTH_ATTACHMENT),
            ):
                GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
                GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, form, *size)
                GL.glFramebufferRenderbuffer(GL.GL_DRAW_FRAMEBUFFER, use, GL.GL_RENDERBUFFER, buffer)
            self._main_fb_dims = size

    return CropRenderer


class Canvas:
    """Draws meshes; a context manager. Buffers on the GPU are kept and updated in place.

    Edges, where a surface ends or hides a farther one, are softened afterwards: in software that takes half the time of
    multisampling. Inside a surface, pixels are left as they were drawn.
    """

    def __init__(self) -> None:
        self._context = _context()[0]
        import pyrender

        self._context.make_current()
        self._renderer = _crop_renderer()(_SIZE_STEP, _SIZE_STEP)
        self._scene = pyrender.Scene(bg_color=np.zeros(4))
        # One pixel is one unit at depth 1; the centre of pixel (0, 0) lies half a pixel inside OpenGL's window.
        self._scene.add(pyrender.IntrinsicsCamera(1.0, 1.0, 0.5, 0.5, znear=NEAR_M, zfar=FAR_M))
        self._flags = pyrender.RenderFlags.OFFSCREEN | pyrender.RenderFlags.RGBA | pyrender.RenderFlags.FLAT
        self._slots: list[tuple[Topology, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free what the canvas holds on the GPU."""
        self._context.make_current()
        self._renderer.delete()
        self._slots = []

    def draw(
        self, meshes: Sequence[ScreenMesh], corner: tuple[int, int], size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the part of the image whose top-left pixel is ``corner`` (x, y) px, of ``size`` (w, h) px.

        Return ``rgba (h,w,4)`` uint8, at edges averaged over the pixel and its neighbours, so RGB is premultiplied by
        coverage, and ``depth (h,w)`` float32 m at the pixel's centre, 0 where nothing is.
        """
        self._context.make_current()
        for number, (_, mesh) in enumerate(self._slots):
            mesh.is_visible = number < len(meshes)
        for number, mesh in enumerate(meshes):
            self._fill(number, mesh, corner)
        # Sizes in steps: the framebuffer is built anew only when the step changes.
        self._renderer.viewport_width = -(-size[0] // _SIZE_STEP) * _SIZE_STEP
        self._renderer.viewport_height = -(-size[1] // _SIZE_STEP) * _SIZE_STEP
        self._renderer.crop = size
        picture: Any = self._renderer.render(self._scene, self._flags)
        return picture

    def _fill(self, number: int, mesh: ScreenMesh, corner: tuple[int, int]) -> None:
        """Put ``mesh`` into slot ``number``; rebuild the slot only when the faces are others than the last time."""
        # A vertex that is not to be seen goes to the optical centre: there its triangles have no area on the image.
        depth = np.where(mesh.depth > NEAR_M, mesh.depth, 0.0)
        data = np.empty((len(depth), 7), np.float32)
        data[:, 0] = (mesh.xy[:, 0] - corner[0]) * depth
        data[:, 1] = -(mesh.xy[:, 1] - corner[1]) * depth
        data[:, 2] = -depth
        data[:, 3:] = mesh.rgba
        if number == len(self._slots):
            self._slots.append((mesh.topology, self._add(mesh.topology, data)))
        elif self._slots[number][0] is not mesh.topology:
            self._scene.remove_node(next(iter(self._scene.get_nodes(obj=self._slots[number][1]))))
            self._slots[number] = (mesh.topology, self._add(mesh.topology, data))
        else:
            from OpenGL import GL

            # pyrender has no update: this is the one interleaved vertex buffer that its Primitive makes.
            primitive = self._slots[number][1].primitives[0]
            GL.glBindBuffer(GL.GL_ARRAY_BUFFER, primitive._buffers[0])
            GL.glBufferSubData(GL.GL_ARRAY_BUFFER, 0, data.nbytes, data)

    def _add(self, topology: Topology, data: np.ndarray) -> Any:
        import pyrender

        # Opaque: the alpha that we give is written, not blended.
        material = pyrender.MetallicRoughnessMaterial(alphaMode="OPAQUE", doubleSided=False)
        primitive = pyrender.Primitive(
            positions=data[:, :3], color_0=data[:, 3:], indices=topology.faces, material=material
        )
        mesh = pyrender.Mesh([primitive])
        self._scene.add(mesh)
        return mesh


class DrawsOnCanvas:
    """What draws on a canvas of its own: a context manager that frees it."""

    _canvas: Canvas

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the graphics memory."""
        self._canvas.close()
