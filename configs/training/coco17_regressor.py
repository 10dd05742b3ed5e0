"""The plain regressor, a baseline: the shipped network asked once for 3D joints, for as many steps as both stages."""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512, ablation=dict(direct=True))
optimizer = "muon"
steps = 4950
warmup = 50
batch = 32
frames = 32
rate = 1e-3
seed = 0
