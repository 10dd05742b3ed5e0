"""The default: detection and keypoints that ship with the package, no download, CPU or GPU.

A section holds options of one stage; what is left out keeps its default. Copy this file, change it and give it to
``mocap-video run --config FILE``. An unknown option is refused.
"""

front_end = dict()
people = dict()
lift = dict(samples=4, seed=0)
fit = dict()
render = dict()
pieces = dict(length_s=60.0)
