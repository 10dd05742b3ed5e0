"""The plain regressor, a baseline: the shipped network asked once for 3D joints, begun from what `coco17_long` reached.

Trained as `coco17_onestep` is, for half as long: its answer's layer alone is new. Measure both with
`tools/benchmark_eval.py --against`.
"""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512, ablation=dict(direct=True))
optimizer = "muon"
steps = 1500
warmup = 50
batch = 16
frames = 64
rate = 8e-4
seed = 5
