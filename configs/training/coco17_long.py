"""Stage 2 of the shipped COCO-17 weights, continued on windows of 4 s from what `coco17_refine` reached."""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512)
optimizer = "muon"
steps = 3600
warmup = 50
batch = 16
frames = 64
rate = 1e-3
seed = 3
