"""Stage 2 of the shipped COCO-17 weights: all views together, given V0's keypoints. Starts from stage 1's weights."""

stage = 2
skeleton = "coco17"
network = dict(joints=17, width=192, layers=6, heads=4, feed_forward=512)
steps = 1800
warmup = 100
batch = 32
frames = 32
rate = 1e-3
seed = 0
