"""Names that a config may use for parts that come in several kinds. What no config names is a plain function.

A registry imports its ``locations`` when it first looks a name up, so importing this module imports no backend.
``NETWORKS``, ``DATASETS`` and ``OPTIMIZERS`` are children of mmengine's own, so that its ``Runner`` builds ours by
name.
"""

from __future__ import annotations

import mmengine.registry
from mmengine.registry import Registry

SCOPE = "mocap_video"

MOTION_READERS = Registry("motion reader", scope=SCOPE, locations=["mocap_video.lifter.data.readers"])
NETWORKS = Registry("network", parent=mmengine.registry.MODELS, scope=SCOPE, locations=["mocap_video.lifter.network"])
DATASETS = Registry("dataset", parent=mmengine.registry.DATASETS, scope=SCOPE, locations=["mocap_video.lifter.data"])
OPTIMIZERS = Registry(
    "optimizer", parent=mmengine.registry.OPTIMIZERS, scope=SCOPE, locations=["mocap_video.lifter.optimizer"]
)
